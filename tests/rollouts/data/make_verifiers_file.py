"""Makes `traces.jsonl` of this folder with verifiers' own classes and writer.

pip install verifiers==0.4.0
python make_verifiers_file.py
"""

from pathlib import Path

from verifiers.v1.configs.agent import WireAgentConfig
from verifiers.v1.episode import EnvInfo, Episode, GroupInfo
from verifiers.v1.graph import MessageNode
from verifiers.v1.task import WireTaskData
from verifiers.v1.trace import AgentInfo, Trace, TraceTask
from verifiers.v1.types import AssistantMessage, UserMessage
from verifiers.v1.utils.trace_store import write_episode

HERE = Path(__file__).parent


def trace(task, answer, rewards, ok=True):
    nodes = [
        MessageNode(message=UserMessage(content=f"What is {task.key}?")),
        MessageNode(parent=0, message=AssistantMessage(content=answer), sampled=True),
    ]
    made = Trace[WireTaskData](
        task=task, agent=AgentInfo(config=WireAgentConfig()), nodes=nodes, ok=ok
    )
    for name, score, weight in rewards:
        made.record_reward(name, score, weight)
    made.record_metric("characters", len(answer))
    return made


def main():
    (HERE / "traces.jsonl").unlink(missing_ok=True)
    print("what Trace.reward gives:")
    for key, answer, right, form, ok in [
        ("2 + 2", "4", 1, 1, True),
        ("3 * 3", "8", 0, 1, True),
        ("2 + 2", "four", 1, 0.5, True),
        ("3 * 3", "9", 1, 1, False),
    ]:
        task = TraceTask(type="Task", data=WireTaskData(prompt=key), key=key)
        one = trace(task, answer, [("right", right, 1.0), ("form", form, 0.2)], ok)
        print(key, one.reward, one.ok)
        env, group = EnvInfo(id="arithmetic"), GroupInfo(id=key)
        episode = Episode(task=task, env=env, group=group, ok=ok, traces=[one])
        write_episode(HERE, episode)


if __name__ == "__main__":
    main()

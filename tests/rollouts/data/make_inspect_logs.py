"""Makes the Inspect logs of this folder: two prompts, four epochs, several scorers, a mock model.

    pip install inspect_ai==0.3.285 openai
    python make_inspect_logs.py

The model is Inspect's own `mockllm`, whose answers are given here. `match` gives C and I, `graded`
also P and N, `brevity` a number, `parts` a dict of a number and a boolean. The last answer makes
`graded` raise, so that its sample has an error and not all scores. `inspect_chunked.eval` is
`inspect_several.eval` with each sample in parts.
"""

import shutil
from pathlib import Path

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log._recorders.chunked import convert_eval_logs_to_chunked
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, accuracy, match, mean, scorer
from inspect_ai.solver import generate

HERE = Path(__file__).parent
ANSWERS = {"sum": ["4", "5", "four", "I do not know"], 7: ["9", "9", "8", "raise"]}


@scorer(metrics=[accuracy()])
def graded():
    async def score(state, target):
        text = state.output.completion
        if text == "raise":
            raise ValueError("this answer cannot be graded")
        if text == target.text:
            return Score(value="C")
        return Score(value="N" if "know" in text else "P" if text.isdigit() else "I")

    return score


@scorer(metrics=[mean()])
def brevity():
    async def score(state, target):
        return Score(value=1 / len(state.output.completion))

    return score


@scorer(metrics={"*": [mean()]})
def parts():
    async def score(state, target):
        text = state.output.completion
        return Score(value={"digits": sum(c.isdigit() for c in text), "right": text == target.text})

    return score


def answer(input, tools, tool_choice, config):
    key = "sum" if "+" in input[-1].text else 7
    output = ModelOutput.from_content("mockllm/model", LEFT[key].pop(0))
    output.usage = ModelUsage(input_tokens=9, output_tokens=1, total_tokens=10)
    return output


LEFT: dict = {}


def main():
    samples = [
        Sample(id="sum", input="What is 2 + 2?", target="4"),
        Sample(id=7, input="What is 3 * 3?", target="9"),
    ]
    for name, scorers in (
        ("several", [match(), graded(), brevity(), parts()]),
        ("one", [graded()]),
    ):
        for kind in ("eval", "json"):
            LEFT.update({key: list(texts) for key, texts in ANSWERS.items()})
            (log,) = eval(
                Task(dataset=samples, solver=generate(), scorer=scorers, name="arithmetic"),
                model=get_model("mockllm/model", custom_outputs=answer, memoize=False),
                epochs=4,
                max_samples=1,
                fail_on_error=False,
                log_format=kind,
                log_dir=str(HERE / "new"),
                display="none",
            )
            shutil.move(log.location, HERE / f"inspect_{name}.{kind}")
    convert_eval_logs_to_chunked(str(HERE / "inspect_several.eval"), str(HERE / "new"))
    shutil.move(HERE / "new" / "inspect_several.eval", HERE / "inspect_chunked.eval")
    shutil.rmtree(HERE / "new")


if __name__ == "__main__":
    main()

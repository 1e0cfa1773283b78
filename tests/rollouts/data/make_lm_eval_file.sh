#!/bin/sh
# Makes lm_eval_samples.jsonl of this folder: lm-evaluation-harness's own `dummy` model, three repeats.
#     pip install lm-eval==0.4.13 && sh make_lm_eval_file.sh
set -e
folder=$(mktemp -d)
printf '{"q": "2 + 2", "a": "4"}\n{"q": "3 * 3", "a": "9"}\n' > "$folder/docs.jsonl"
cat > "$folder/arith.yaml" <<YAML
task: arith
dataset_path: json
dataset_kwargs: {data_files: {test: $folder/docs.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "What is {{q}}?"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["\n"], do_sample: true, temperature: 1.0}
repeats: 3
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
YAML
lm_eval run --model dummy --tasks arith --include_path "$folder" --log_samples \
    --output_path "$folder/out"
cp "$folder"/out/*/samples_arith_*.jsonl "$(dirname "$0")/lm_eval_samples.jsonl"

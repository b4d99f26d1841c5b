# batch.sh BUNDLE PROMPTS PREFIX: continues the lines of PROMPTS in one batch
# (PREFIX.batch) and each alone (PREFIX.alone). Tokens are drawn from the logits,
# so that differing ones soon show.
set -e
options="--device=emulator --max-tokens 10 --temperature 0.8 --seed 5"
odyssey-run "$1" $options --batch "$2" > "$3.batch"
: > "$3.alone"
number=0
while IFS= read -r line; do
  number=$((number + 1))
  echo "==> $number <==" >> "$3.alone"
  odyssey-run "$1" $options --prompt "$line" >> "$3.alone"
done < "$2"

//===- Definition.cpp - What a tokenizer is made of -----------------------===//
//
// How tokens become bytes, and which tokens end a sequence.
//
//===----------------------------------------------------------------------===//

#include "Definition.h"

#include <algorithm>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

/// Names of the tokens after which the models of the LLaMA, Qwen, SmolLM, Phi
/// and Gemma families stop.
static constexpr std::string_view kCustomaryEosNames[] = {
    "</s>",       "<eos>",      "<|endoftext|>", "<|end_of_text|>",
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>",    "<end_of_turn>",
};

void Definition::appendTokenBytes(int32_t id, bool isFirst,
                                  std::string &out) const {
  const Token &token = vocabulary[id];
  // Their text is written plainly in every kind of vocabulary.
  bool isAdded = isSpecial(id) || token.kind == TokenKind::UserDefined;
  if (decoder.byteLevel && !isAdded) {
    appendFromByteLevel(out, token.text);
    return;
  }
  if (decoder.byteFallback)
    if (std::optional<unsigned char> byte = parseByteToken(token.text)) {
      out += static_cast<char>(*byte);
      return;
    }
  std::string text = token.text;
  if (isFirst && !decoder.droppedFromFirst.empty())
    text = replaceAll(text, decoder.droppedFromFirst, "");
  for (const DecoderRules::Replacement &replacement : decoder.replacements)
    text = replaceAll(text, replacement.from, replacement.to);
  out += text;
}

void Definition::completeEos() {
  for (std::string_view name : kCustomaryEosNames)
    if (int32_t id = vocabulary.find(name); id != kNoToken && isSpecial(id))
      eos.push_back(id);
  std::ranges::sort(eos);
  auto repeated = std::ranges::unique(eos);
  eos.erase(repeated.begin(), repeated.end());
}

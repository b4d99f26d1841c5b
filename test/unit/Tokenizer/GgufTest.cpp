//===- GgufTest.cpp - Small tokenizers in GGUF files ----------------------===//
//
// Each test writes GGUF metadata with one feature in it.
//
//===----------------------------------------------------------------------===//

#include "TestData.h"

#include <gmock/gmock.h>

using namespace odyssey::runtime;
using namespace odyssey::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

GgufWriter llamaKind() {
  std::vector<Piece> pieces = llamaPieces();
  float score = 0;
  for (const char *text : {"▁a", "ab", "a", "b", "▁"})
    pieces.push_back({text, score--});
  pieces.push_back({"<user>", 0, 4});
  GgufWriter writer;
  writer.addString("tokenizer.ggml.model", "llama");
  writer.addPieces(pieces);
  writer.addUint32("tokenizer.ggml.bos_token_id", 1);
  writer.addUint32("tokenizer.ggml.eos_token_id", 2);
  return writer;
}

/// A byte-level vocabulary of single characters and a few merges.
GgufWriter gpt2Kind(const char *pre) {
  GgufWriter writer;
  writer.addString("tokenizer.ggml.model", "gpt2");
  if (pre)
    writer.addString("tokenizer.ggml.pre", pre);
  writer.addStrings("tokenizer.ggml.tokens",
                    {"a",  "b",  "Ġ",  "1",  "2",
                     "'",  "S",  "s",  "Ċ",  "Ġa",
                     "12", "'s", "'S", "ab", "<|endoftext|>",
                     "ĠĠ", "ba", "A",  "aA", "!",
                     "!Ċ"});
  writer.addInts("tokenizer.ggml.token_type", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                               1, 1, 1, 3, 1, 1, 1, 1, 1, 1});
  writer.addStrings("tokenizer.ggml.merges",
                    {"Ġ a", "1 2", "' s", "' S", "a b", "Ġ Ġ", "a A", "! Ċ"});
  return writer;
}

std::unique_ptr<Tokenizer> load(const GgufWriter &writer) {
  auto tokenizer = loadTokenizer("model.gguf", writer.write());
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

std::string loadError(const GgufWriter &writer, StatusCode code) {
  auto tokenizer = loadTokenizer("model.gguf", writer.write());
  EXPECT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.status().code(), code);
  return tokenizer.status().message();
}

std::vector<std::string> pieces(const GgufWriter &writer, std::string_view text,
                                const EncodeOptions &options = {}) {
  std::unique_ptr<Tokenizer> tokenizer = load(writer);
  std::vector<std::string> result;
  if (!tokenizer)
    return result;
  Result<std::vector<int32_t>> tokens = tokenizer->encode(text, options);
  EXPECT_TRUE(tokens.ok()) << tokens.status().message();
  for (int32_t token : tokens.ok() ? *tokens : std::vector<int32_t>())
    result.emplace_back(tokenizer->tokenText(token));
  return result;
}

TEST(GgufLlamaKind, MergesByScore) {
  EXPECT_THAT(pieces(llamaKind(), "ab a"), ElementsAre("<s>", "▁a", "b", "▁a"));
  EXPECT_THAT(pieces(llamaKind(), "<user>a</s>a"),
              ElementsAre("<s>", "<user>", "▁a", "</s>", "▁a"));
  EXPECT_THAT(pieces(llamaKind(), "a<user>é", {.parseSpecial = false}),
              ElementsAre("<s>", "▁a", "<user>", "▁", "<0xC3>", "<0xA9>"));
}

TEST(GgufLlamaKind, HonoursItsSwitches) {
  GgufWriter writer = llamaKind();
  writer.addBool("tokenizer.ggml.add_bos_token", false);
  writer.addBool("tokenizer.ggml.add_space_prefix", false);
  EXPECT_THAT(pieces(writer, "a a"), ElementsAre("a", "▁a"));
  EXPECT_THAT(pieces(writer, "a", {.addBos = true}), ElementsAre("<s>", "a"));
  EXPECT_EQ(load(writer)->decode(*load(writer)->encode(" a")), " a");
}

TEST(GgufLlamaKind, KnowsItsSpecialTokens) {
  std::unique_ptr<Tokenizer> tokenizer = load(llamaKind());
  EXPECT_EQ(tokenizer->bosToken(), 1);
  EXPECT_THAT(tokenizer->eosTokens(), ElementsAre(2));
  EXPECT_TRUE(tokenizer->isSpecial(0));
  EXPECT_FALSE(tokenizer->isSpecial(264));
  GgufWriter writer = llamaKind();
  writer.addUint32("tokenizer.ggml.eot_token_id", 264);
  EXPECT_THAT(load(writer)->eosTokens(), ElementsAre(2, 264));
}

TEST(GgufGpt2Kind, SplitsByItsPattern) {
  EXPECT_THAT(pieces(gpt2Kind("gpt-2"), "a a'S 12  ab"),
              ElementsAre("a", "Ġa", "'", "S", "Ġ", "12", "Ġ", "Ġa", "b"));
  EXPECT_THAT(pieces(gpt2Kind("smollm"), "a12"), ElementsAre("a", "1", "2"));
  EXPECT_THAT(pieces(gpt2Kind("qwen2"), "a'S12"),
              ElementsAre("a", "'S", "1", "2"));
  EXPECT_THAT(pieces(gpt2Kind("llama-bpe"), "a'S12!\n"),
              ElementsAre("a", "'S", "12", "!Ċ"));
  EXPECT_THAT(pieces(gpt2Kind("gpt-4o"), "aA"), ElementsAre("a", "A"));
  EXPECT_THAT(pieces(gpt2Kind("qwen2"), "aA"), ElementsAre("aA"));
  EXPECT_THAT(pieces(gpt2Kind(nullptr), "a12"), ElementsAre("a", "12"));
}

TEST(GgufGpt2Kind, TakesWholeWordsWhereThePatternSaysSo) {
  EXPECT_THAT(pieces(gpt2Kind("llama-bpe"), "ba"), ElementsAre("ba"));
  EXPECT_THAT(pieces(gpt2Kind("gpt-2"), "ba"), ElementsAre("b", "a"));
}

TEST(GgufGpt2Kind, KnowsItsSpecialTokens) {
  GgufWriter writer = gpt2Kind("gpt-2");
  EXPECT_EQ(load(writer)->bosToken(), std::nullopt);
  writer.addUint32("tokenizer.ggml.bos_token_id", 14);
  EXPECT_EQ(load(writer)->bosToken(), 14);
  EXPECT_THAT(load(writer)->eosTokens(), ElementsAre(14));
  EXPECT_THAT(pieces(writer, "a<|endoftext|>b"),
              ElementsAre("a", "<|endoftext|>", "b"));
  // Of the known kinds, some begin with it without saying so.
  GgufWriter llama3 = gpt2Kind("llama-bpe");
  llama3.addUint32("tokenizer.ggml.bos_token_id", 14);
  EXPECT_THAT(pieces(llama3, "a"), ElementsAre("<|endoftext|>", "a"));
}

TEST(Gguf, RefusesWhatItDoesNotImplement) {
  EXPECT_EQ(loadError(gpt2Kind("nonsense"), StatusCode::Unsupported),
            "model.gguf: tokenizer.ggml.pre 'nonsense' is not supported");
  GgufWriter writer;
  writer.addString("tokenizer.ggml.model", "bert");
  EXPECT_THAT(loadError(writer, StatusCode::Unsupported),
              HasSubstr("tokenizer.ggml.model 'bert'"));
  std::string file = llamaKind().write(/*version=*/1);
  EXPECT_THAT(loadTokenizer("x.gguf", file).status().message(),
              HasSubstr("GGUF version 1"));
  EXPECT_TRUE(loadTokenizer("x.gguf", llamaKind().write(/*version=*/2)).ok());
}

TEST(Gguf, RefusesContradictions) {
  auto error = [](const GgufWriter &writer) {
    return loadError(writer, StatusCode::DataLoss);
  };
  EXPECT_THAT(error(GgufWriter()), HasSubstr("tokenizer.ggml.model"));
  GgufWriter writer = llamaKind();
  writer.addUint32("tokenizer.ggml.eot_token_id", 265);
  EXPECT_THAT(error(writer), HasSubstr("'tokenizer.ggml.eot_token_id' is 265 "
                                       "in a vocabulary of 265 tokens"));
  writer = llamaKind();
  writer.addUint32("tokenizer.ggml.bos_token_id", 1);
  EXPECT_THAT(error(writer), HasSubstr("stands twice"));
  writer = gpt2Kind("gpt-2");
  writer.addFloats("tokenizer.ggml.scores", {1, 2});
  EXPECT_THAT(error(writer), HasSubstr("2 values in 'tokenizer.ggml.scores' "
                                       "for 21 tokens"));
  writer = gpt2Kind("gpt-2");
  writer.addBool("tokenizer.ggml.add_bos_token", true);
  EXPECT_THAT(error(writer), HasSubstr("no 'tokenizer.ggml.bos_token_id'"));
  writer = GgufWriter();
  writer.addUint32("tokenizer.ggml.model", 1);
  EXPECT_THAT(error(writer), HasSubstr("is not a string"));
}

} // namespace

//===- DamagedFilesTest.cpp - Files that are cut short or lie -------------===//
//
// A damaged file gives an error or, where the damage does not show, a tokenizer
// that works. It never crashes and never asks for memory that a count in the
// file invents. The sanitizers make this test stricter.
//
//===----------------------------------------------------------------------===//

#include "TestData.h"

#include <gmock/gmock.h>

#include <random>

using namespace odyssey::runtime;
using namespace odyssey::test;
using testing::HasSubstr;

namespace {

/// Loads a file and uses it, if it loads.
void tryOut(std::string_view fileName, std::string_view content) {
  auto tokenizer = loadTokenizer(fileName, content);
  if (!tokenizer.ok()) {
    EXPECT_FALSE(tokenizer.status().message().empty());
    return;
  }
  Result<std::vector<int32_t>> tokens =
      (*tokenizer)->encode("a ab 12 <s>\n\U0001f600é");
  if (tokens.ok())
    (*tokenizer)->decode(*tokens);
  (*tokenizer)->decode(std::vector<int32_t>{-1, 0, 1, 1 << 30});
}

struct Sample {
  const char *name;
  std::string content;
};

std::vector<Sample> samples() {
  ModelWriter model;
  model.pieces = llamaPieces();
  model.pieces.push_back({"▁a", 0});
  model.pieces.push_back({"ab", -1, 4});
  model.pieces.push_back({"b▁", -1, 5});

  GgufWriter llama;
  llama.addString("tokenizer.ggml.model", "llama");
  llama.addPieces(model.pieces);
  llama.addUint32("tokenizer.ggml.bos_token_id", 1);
  llama.addUint32("tokenizer.ggml.unknown_token_id", 0);

  GgufWriter gpt2;
  gpt2.addString("tokenizer.ggml.model", "gpt2");
  gpt2.addString("tokenizer.ggml.pre", "qwen2");
  gpt2.addStrings("tokenizer.ggml.tokens", {"a", "b", "ab", "Ġ", "<s>"});
  gpt2.addInts("tokenizer.ggml.token_type", {1, 1, 1, 1, 3});
  gpt2.addStrings("tokenizer.ggml.merges", {"a b"});
  gpt2.addUint32("tokenizer.ggml.bos_token_id", 4);

  std::string json = R"({"added_tokens":[{"id":4,"content":"<s>",
    "special":true}],"normalizer":{"type":"Prepend","prepend":"a"},
    "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split",
    "pattern":{"Regex":"[a-c]+|\\s"},"behavior":"Isolated","invert":false},
    {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},
    "post_processor":{"type":"TemplateProcessing","single":[
    {"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A"}}],
    "special_tokens":{"<s>":{"id":"<s>","ids":[4]}}},
    "decoder":{"type":"ByteLevel"},"model":{"type":"BPE","unk_token":null,
    "vocab":{"a":0,"b":1,"ab":2,"Ġ":3},"merges":["a b"]}})";
  return {{"x.model", model.write()},
          {"x.gguf", llama.write()},
          {"x.gguf", gpt2.write()},
          {"x.json", json}};
}

TEST(DamagedFiles, TheSamplesThemselvesLoad) {
  for (const Sample &sample : samples()) {
    auto tokenizer = loadTokenizer(sample.name, sample.content);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  }
}

TEST(DamagedFiles, CutShortEverywhere) {
  for (const Sample &sample : samples())
    for (size_t size = 0; size < sample.content.size(); ++size) {
      // The copy lets a sanitizer see reads behind the end.
      std::string cut = sample.content.substr(0, size);
      tryOut(sample.name, cut);
      if (std::string_view(sample.name) != "x.model") {
        EXPECT_FALSE(loadTokenizer(sample.name, cut).ok()) << size;
      }
    }
}

TEST(DamagedFiles, OneWrongByteAnywhere) {
  for (const Sample &sample : samples())
    for (size_t at = 0; at < sample.content.size(); ++at)
      for (int flip : {0x01, 0x80, 0xff}) {
        std::string damaged = sample.content;
        damaged[at] = static_cast<char>(damaged[at] ^ flip);
        tryOut(sample.name, damaged);
      }
}

TEST(DamagedFiles, ManyWrongBytes) {
  std::mt19937_64 random(7);
  for (const Sample &sample : samples())
    for (int round = 0; round < 3000; ++round) {
      std::string damaged = sample.content;
      for (uint64_t n = 1 + random() % 8; n > 0; --n)
        damaged[random() % damaged.size()] = static_cast<char>(random());
      tryOut(sample.name, damaged);
    }
}

/// A GGUF file with one pair: `key`, then `rest`.
std::string ggufWith(std::string_view key, std::string_view rest) {
  GgufWriter writer;
  writer.addString(key, "");
  std::string file = writer.write();
  // Type (4 bytes) and length (8 bytes) of the empty string.
  file.resize(file.size() - 12);
  return file += rest;
}

TEST(DamagedFiles, HugeCountsAreNamedAndNotAllocated) {
  using namespace std::string_literals;
  const std::string huge = "\xff\xff\xff\xff\xff\xff\xff\x7f"s;
  const std::string stringType = "\x08\0\0\0"s, arrayType = "\x09\0\0\0"s,
                    floatType = "\x06\0\0\0"s;
  auto error = [](std::string_view content) {
    auto tokenizer = loadTokenizer("x.gguf", content);
    EXPECT_EQ(tokenizer.status().code(), StatusCode::DataLoss);
    return tokenizer.status().message();
  };
  EXPECT_THAT(error(ggufWith("key", stringType + huge)),
              HasSubstr("metadata 'key': 9223372036854775807 bytes"));
  EXPECT_THAT(error(ggufWith("key", arrayType + floatType + huge)),
              HasSubstr("array of 9223372036854775807 elements"));
  EXPECT_THAT(error(ggufWith("key", arrayType + stringType + huge)),
              HasSubstr("metadata 'key'"));
  EXPECT_THAT(error(ggufWith("key", "\x0d\0\0\0"s)),
              HasSubstr("value type 13"));
  // Arrays in arrays without end.
  std::string nested;
  for (int i = 0; i < 1000; ++i)
    nested += arrayType + "\x01\0\0\0\0\0\0\0"s;
  EXPECT_THAT(error(ggufWith("key", arrayType + nested)),
              HasSubstr("arrays nested more than"));
  // The number of pairs.
  std::string file = GgufWriter().write();
  file.replace(16, 8, huge);
  EXPECT_THAT(error(file), HasSubstr("metadata key 0 of 9223372036854775807"));
  EXPECT_THAT(error(""), HasSubstr("not a GGUF file"));
}

TEST(DamagedFiles, ProtocolBufferLengthsAreNamed) {
  auto error = [](std::string_view content) {
    auto tokenizer = loadTokenizer("x.model", content);
    EXPECT_EQ(tokenizer.status().code(), StatusCode::DataLoss);
    return tokenizer.status().message();
  };
  EXPECT_EQ(error("\x0a\x05x"), "x.model: field 1 of 5 bytes where 1 are left");
  EXPECT_EQ(error("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            "x.model: cut-off or overlong integer");
  EXPECT_EQ(error("\x0b"), "x.model: field 1 of wire type 3");
  EXPECT_EQ(error("\x08\x01"), "x.model: field 'ModelProto' of wire type 0");
  EXPECT_EQ(error("\x0a\x02\x15\x01"), "x.model: piece 0: cut-off field");
}

} // namespace

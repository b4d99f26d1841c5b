//===- VectorsTest.cpp - Real vocabularies against known ids --------------===//
//
// Encodes and decodes with the vocabularies of real models: against the ids
// that llama.cpp gives, and the same vocabulary in different kinds of file
// against each other. Needs data files that are not in the repository.
//
//===----------------------------------------------------------------------===//

#include "TestData.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <unordered_map>

using namespace odyssey::runtime;
using namespace odyssey::test;
using testing::ElementsAre;

namespace {

#define LOAD_OR_SKIP(name, path)                                               \
  std::optional<std::string> name##Content = readDataFile(path);               \
  if (!name##Content)                                                          \
    GTEST_SKIP() << missingData(path);                                         \
  auto name##Result = loadTokenizer(path, *name##Content);                     \
  ASSERT_TRUE(name##Result.ok()) << name##Result.status().message();           \
  const Tokenizer &name = **name##Result

std::vector<int32_t> encode(const Tokenizer &tokenizer, std::string_view text,
                            const EncodeOptions &options = {}) {
  Result<std::vector<int32_t>> tokens = tokenizer.encode(text, options);
  EXPECT_TRUE(tokens.ok()) << tokens.status().message();
  return tokens.ok() ? *tokens : std::vector<int32_t>();
}

std::vector<std::string> splitAt(std::string_view text,
                                 std::string_view separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t at; (at = text.find(separator, begin)) != text.npos;
       begin = at + separator.size())
    parts.emplace_back(text.substr(begin, at - begin));
  if (begin < text.size())
    parts.emplace_back(text.substr(begin));
  return parts;
}

std::vector<int32_t> parseIds(const std::string &line) {
  std::vector<int32_t> ids;
  std::istringstream stream(line);
  for (int32_t id; stream >> id;)
    ids.push_back(id);
  return ids;
}

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// True for a copy of a binary file that somebody took for text, so that every
/// byte that is not UTF-8 became U+FFFD. A vocabulary's first kilobyte is names
/// and numbers, which have none.
bool wentThroughText(std::string_view content) {
  return content.substr(0, 1024).find(kReplacement) != content.npos;
}

/// Such a copy of llama.cpp's gpt-2 vocabulary lacks nine bytes: two of the
/// epsilon 1e-5, those of the lengths 50257 and 50000 of three arrays, those of
/// the lengths of two strings of 128 and 193 bytes, that of the id 50256.
std::string repairGpt2(std::string_view content) {
  constexpr unsigned char bytes[] = {0xAC, 0xC5, 0xC4, 0x80, 0xC4,
                                     0xC3, 0x81, 0xC4, 0xC4};
  std::string repaired;
  size_t begin = 0;
  for (unsigned char byte : bytes) {
    size_t at = content.find(kReplacement, begin);
    if (at == content.npos)
      break;
    repaired.append(content.substr(begin, at - begin));
    repaired.push_back(static_cast<char>(byte));
    begin = at + kReplacement.size();
  }
  return repaired.append(content.substr(begin));
}

/// The file that holds a vocabulary: as llama.cpp distributes it, or what
/// stands in for a copy that went through text.
struct VocabularyFile {
  std::string path, content;
};

std::optional<VocabularyFile> findVocabulary(const std::string &name) {
  std::string path = "tokenizers/ggml-vocab-" + name + ".gguf";
  std::optional<std::string> content = readDataFile(path);
  if (!content)
    return std::nullopt;
  if (!wentThroughText(*content))
    return VocabularyFile{path, std::move(*content)};
  if (name == "gpt-2")
    return VocabularyFile{path, repairGpt2(*content)};
  // The same vocabulary as a SentencePiece file.
  path = "tokenizers/llama2-tokenizer.model";
  content = readDataFile(path);
  if (!content)
    return std::nullopt;
  return VocabularyFile{path, std::move(*content)};
}

class LlamaCppVectors : public testing::TestWithParam<const char *> {};

TEST_P(LlamaCppVectors, GivesTheSameIdsAndTheTextBack) {
  std::string path = std::string("tokenizers/ggml-vocab-") + GetParam();
  std::optional<VocabularyFile> file = findVocabulary(GetParam());
  if (!file)
    GTEST_SKIP() << missingData(path + ".gguf");
  auto loaded = loadTokenizer(file->path, file->content);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const Tokenizer &tokenizer = **loaded;
  std::optional<std::string> inputs = readDataFile(path + ".gguf.inp");
  std::optional<std::string> outputs = readDataFile(path + ".gguf.out");
  if (!inputs || !outputs)
    GTEST_SKIP() << missingData(path + ".gguf.{inp,out}");
  std::vector<std::string> texts = splitAt(*inputs, "\n__ggml_vocab_test__\n");
  std::vector<std::string> lines = splitAt(*outputs, "\n");
  ASSERT_GT(texts.size(), 40u);
  ASSERT_EQ(texts.size(), lines.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    SCOPED_TRACE("text " + std::to_string(i) + ": " + texts[i]);
    std::vector<int32_t> ids =
        encode(tokenizer, texts[i], {.addBos = false, .parseSpecial = false});
    EXPECT_EQ(ids, parseIds(lines[i]));
    EXPECT_EQ(tokenizer.decode(ids), texts[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(, LlamaCppVectors,
                         testing::Values("llama-spm", "gpt-2"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

/// The difficult texts, and real prose if it is there.
std::vector<std::string> comparisonTexts() {
  std::vector<std::string> texts = difficultTexts();
  if (std::optional<std::string> prose =
          readDataFile("text/tinystories-valid.txt")) {
    for (std::string &line : splitAt(*prose, "\n"))
      texts.push_back(std::move(line));
    texts.push_back(std::move(*prose));
  }
  return texts;
}

void expectSameIds(const Tokenizer &a, const Tokenizer &b,
                   const std::vector<std::string> &texts) {
  for (const std::string &text : texts)
    EXPECT_EQ(encode(a, text), encode(b, text)) << text.substr(0, 200);
}

bool haveSameVocabulary(const Tokenizer &a, const Tokenizer &b) {
  if (a.vocabularySize() != b.vocabularySize())
    return false;
  for (int32_t id = 0; id < a.vocabularySize(); ++id)
    if (a.tokenText(id) != b.tokenText(id))
      return false;
  return true;
}

std::string quoteJson(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", c);
      quoted += escape;
      continue;
    }
    quoted += c;
  }
  return quoted + '"';
}

/// The merges of a LLaMA vocabulary in the way of the converter of Hugging Face
/// transformers: every way to put a piece together from two others, ranked by
/// the score of the piece, then by its parts. The pieces stand in the order of
/// their scores but for the first one, two spaces, which has the worst.
std::string convertMerges(const Tokenizer &model) {
  constexpr int32_t kFirstPiece = 259;
  std::unordered_map<std::string_view, int32_t> ids;
  std::vector<int32_t> ranking;
  for (int32_t id = 0; id < model.vocabularySize(); ++id) {
    ids.emplace(model.tokenText(id), id);
    if (id > kFirstPiece)
      ranking.push_back(id);
  }
  ranking.push_back(kFirstPiece);
  std::string merges;
  for (int32_t id : ranking) {
    std::string_view text = model.tokenText(id);
    std::vector<std::pair<int32_t, int32_t>> halves;
    for (size_t i = 1; i < text.size(); ++i) {
      auto left = ids.find(text.substr(0, i)), right = ids.find(text.substr(i));
      if (left != ids.end() && right != ids.end())
        halves.emplace_back(left->second, right->second);
    }
    std::ranges::sort(halves);
    for (auto [left, right] : halves)
      merges += (merges.empty() ? "[" : ",[") +
                quoteJson(model.tokenText(left)) + "," +
                quoteJson(model.tokenText(right)) + "]";
  }
  return merges;
}

/// Writes a LLaMA vocabulary as a tokenizer.json.
std::string convertToJson(const Tokenizer &model) {
  std::string vocabulary;
  for (int32_t id = 0; id < model.vocabularySize(); ++id)
    vocabulary += (id ? "," : "") + quoteJson(model.tokenText(id)) + ":" +
                  std::to_string(id);
  std::string added;
  int32_t id = 0;
  for (const char *token : {"<unk>", "<s>", "</s>"})
    added += std::string(added.empty() ? "" : ",") +
             "{\"id\":" + std::to_string(id++) + ",\"content\":\"" + token +
             "\",\"normalized\":false,\"special\":true}";
  return R"({"added_tokens":[)" + added + R"(],"normalizer":{"type":"Sequence",
    "normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace",
    "pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":null,
    "post_processor":{"type":"TemplateProcessing","single":[
    {"SpecialToken":{"id":"<s>","type_id":0}},
    {"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"<s>":{"id":"<s>",
    "ids":[1],"tokens":["<s>"]}}},"decoder":{"type":"Sequence","decoders":[
    {"type":"Replace","pattern":{"String":"▁"},"content":" "},
    {"type":"ByteFallback"},{"type":"Fuse"},
    {"type":"Strip","content":" ","start":1,"stop":0}]},
    "model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,
    "byte_fallback":true,"vocab":{)" +
         vocabulary + R"(},"merges":[)" + convertMerges(model) + "]}}";
}

TEST(Llama2, SentencePieceFileGivesKnownIds) {
  LOAD_OR_SKIP(model, "tokenizers/llama2-tokenizer.model");
  EXPECT_EQ(model.vocabularySize(), 32000);
  EXPECT_EQ(model.bosToken(), 1);
  EXPECT_THAT(model.eosTokens(), ElementsAre(2));
  EXPECT_THAT(encode(model, "Once upon a time"),
              ElementsAre(1, 9038, 2501, 263, 931));
  EXPECT_THAT(encode(model, ""), ElementsAre(1));
}

TEST(Llama2, SentencePieceAndJsonAgree) {
  LOAD_OR_SKIP(model, "tokenizers/llama2-tokenizer.model");
  auto json = loadTokenizer("tokenizer.json", convertToJson(model));
  ASSERT_TRUE(json.ok()) << json.status().message();
  expectSameIds(model, **json, comparisonTexts());
  EXPECT_EQ((*json)->bosToken(), 1);
  EXPECT_THAT((*json)->eosTokens(), ElementsAre(2));
}

TEST(Llama2, SentencePieceAndPublishedJsonAgree) {
  LOAD_OR_SKIP(model, "tokenizers/llama2-tokenizer.model");
  LOAD_OR_SKIP(json, "tokenizers/llama2-tokenizer.json");
  if (!haveSameVocabulary(model, json))
    GTEST_SKIP() << "the two files hold different vocabularies";
  expectSameIds(model, json, comparisonTexts());
}

TEST(Llama2, SentencePieceAndGgufAgree) {
  LOAD_OR_SKIP(model, "tokenizers/llama2-tokenizer.model");
  if (auto content = readDataFile("tokenizers/ggml-vocab-llama-spm.gguf");
      content && wentThroughText(*content))
    GTEST_SKIP() << "ggml-vocab-llama-spm.gguf went through a conversion to "
                    "text, which its scores did not survive";
  LOAD_OR_SKIP(gguf, "tokenizers/ggml-vocab-llama-spm.gguf");
  ASSERT_TRUE(haveSameVocabulary(model, gguf));
  expectSameIds(model, gguf, comparisonTexts());
}

TEST(Llama2, TextsComeBack) {
  LOAD_OR_SKIP(model, "tokenizers/llama2-tokenizer.model");
  for (const std::string &text : comparisonTexts())
    EXPECT_EQ(model.decode(encode(model, text)), text);
  // The one character that SentencePiece cannot keep stands for a space.
  EXPECT_EQ(model.decode(encode(model, "a▁b")), "a b");
}

TEST(LlamaKindOfJson, PublishedFileLoadsAndKeepsTexts) {
  LOAD_OR_SKIP(json, "tokenizers/llama2-tokenizer.json");
  std::vector<std::string_view> texts;
  for (int32_t id : encode(json, "Once upon a time"))
    texts.push_back(json.tokenText(id));
  EXPECT_THAT(texts, ElementsAre("<s>", "▁Once", "▁upon", "▁a", "▁time"));
  for (const std::string &text : comparisonTexts())
    EXPECT_EQ(json.decode(encode(json, text)), text);
}

TEST(Stories260K, GgufAndSentencePieceAgree) {
  LOAD_OR_SKIP(gguf, "stories260K/stories260K.gguf");
  LOAD_OR_SKIP(model, "stories260K/tokenizer.model");
  ASSERT_TRUE(haveSameVocabulary(gguf, model));
  EXPECT_THAT(encode(gguf, "Once upon a time"),
              ElementsAre(1, 403, 407, 261, 378));
  // The .model drops extra spaces, of which the GGUF file says nothing.
  for (const std::string &text : comparisonTexts())
    if (!text.starts_with(' ') && !text.ends_with(' ') &&
        text.find("  ") == std::string::npos) {
      EXPECT_EQ(encode(gguf, text), encode(model, text)) << text;
    }
  EXPECT_EQ(encode(model, "  two   spaces "), encode(gguf, "two spaces"));
}

TEST(TinyStories656K, EncodesThePromptOfItsModel) {
  LOAD_OR_SKIP(json, "TinyStories-656K/tokenizer.json");
  constexpr std::string_view prompt = "Once upon a time there was";
  std::vector<int32_t> ids = encode(json, prompt);
  EXPECT_THAT(ids, ElementsAre(1, 80, 147, 201, 282, 81, 248, 197));
  EXPECT_EQ(json.decode(ids), prompt);
  EXPECT_EQ(json.vocabularySize(), 2048);
  EXPECT_EQ(json.bosToken(), 1);
  // Its special tokens are looked for in normalized text.
  EXPECT_THAT(encode(json, "<|start_story|>Once<|end_story|>"),
              ElementsAre(1, 1, 147, 682, 208, 183, 209, 210));
}

} // namespace

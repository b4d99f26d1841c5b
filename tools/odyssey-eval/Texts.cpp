//===- Texts.cpp - What models are measured on ----------------------------===//

#include "Texts.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

using namespace odyssey;
using namespace odyssey::eval;
using namespace odyssey::runtime;
using reference::Passage;

static Result<std::string> readFile(const std::string &path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file || file.bad() || errno == EISDIR)
    return ioError("cannot read '" + path + "': " + strerror(errno));
  return content.str();
}

/// Without BOS, and with the text of special tokens as text.
static Result<std::vector<int32_t>> encode(const Model &model,
                                           std::string_view text) {
  ODYSSEY_ASSIGN_OR_RETURN(
      std::vector<int32_t> tokens,
      model.tokenizer->encode(text, {.addBos = false, .parseSpecial = false}));
  for (int32_t token : tokens)
    if (token >= model.vocabulary)
      return dataLoss("the tokenizer has the token " + std::to_string(token) +
                      ", and the model a vocabulary of " +
                      std::to_string(model.vocabulary));
  return tokens;
}

Result<TokenizedText>
eval::readText(const Model &model, const std::string &path, int64_t maxTokens) {
  ODYSSEY_ASSIGN_OR_RETURN(std::string content, readFile(path));
  Result<std::vector<int32_t>> tokens = encode(model, content);
  if (!tokens.ok())
    return tokens.status().withContext("'" + path + "'");
  TokenizedText text{std::move(*tokens), static_cast<int64_t>(content.size())};
  if (maxTokens > 0 && static_cast<int64_t>(text.tokens.size()) > maxTokens) {
    text.tokens.resize(static_cast<size_t>(maxTokens));
    text.bytes =
        static_cast<int64_t>(model.tokenizer->decode(text.tokens).size());
  }
  if (text.tokens.size() < 2)
    return invalidArgument("'" + path + "' has " +
                           std::to_string(text.tokens.size()) +
                           " tokens, at least 2 are needed");
  return text;
}

static Result<std::string> passageText(const std::string &line) {
  nlohmann::json json = nlohmann::json::parse(line, nullptr,
                                              /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("text") || !json["text"].is_string())
    return dataLoss("expected an object {\"text\": \"...\"}");
  std::string text = json["text"];
  // Spaces at the end would leave the last word empty.
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text;
}

/// Tokens may span the end of the context, so both texts are encoded, and the
/// last word begins where their tokens first differ.
static Result<Passage> makePassage(const Model &model,
                                   const std::string &line) {
  ODYSSEY_ASSIGN_OR_RETURN(std::string text, passageText(line));
  size_t space = text.find_last_of(" \n");
  if (space == std::string::npos || space == 0)
    return dataLoss("expected more than one word");
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, encode(model, text));
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<int32_t> before,
                           encode(model, text.substr(0, space)));
  auto differs =
      std::mismatch(tokens.begin(), tokens.end(), before.begin(), before.end());
  Passage passage{std::move(tokens), differs.second - before.begin()};
  if (model.bos) {
    passage.tokens.insert(passage.tokens.begin(), *model.bos);
    ++passage.lastWord;
  }
  auto size = static_cast<int64_t>(passage.tokens.size());
  if (passage.lastWord < 1 || passage.lastWord >= size)
    return dataLoss("the last word has no tokens of its own");
  if (size > model.context)
    return resourceExhausted("a passage of " + std::to_string(size) +
                             " tokens is longer than the context of " +
                             std::to_string(model.context));
  return passage;
}

Result<std::vector<Passage>> eval::readPassages(const Model &model,
                                                const std::string &path,
                                                int64_t maxPassages) {
  ODYSSEY_ASSIGN_OR_RETURN(std::string content, readFile(path));
  std::istringstream lines(content);
  std::vector<Passage> passages;
  std::string line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    if (maxPassages > 0 && number > maxPassages)
      break;
    Result<Passage> passage = makePassage(model, line);
    if (!passage.ok())
      return passage.status().withContext("'" + path + "', line " +
                                          std::to_string(number));
    passages.push_back(std::move(*passage));
  }
  if (passages.empty())
    return invalidArgument("'" + path + "' has no passages");
  return passages;
}

//===- TokenizerFiles.cpp - Tokenizers travel as files --------------------===//

#include "odyssey/Frontend/Checkpoint/TokenizerFiles.h"

#include "Json.h"
#include "odyssey/Frontend/Checkpoint/Gguf.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::json::Array;
using llvm::json::Object;

/// Reads `folder`/`name` into `files`. Returns its bytes, or nothing if there
/// is no such file.
static Expected<std::optional<StringRef>>
addFile(StringRef folder, StringRef name, std::vector<TokenizerFile> &files) {
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, name);
  if (!llvm::sys::fs::exists(path))
    return std::nullopt;
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return llvm::createFileError(path, buffer.getError());
  if ((*buffer)->getBufferSize() == 0)
    return llvm::createFileError(path, createStringError("the file is empty"));
  files.push_back({name.str(), (*buffer)->getBuffer().str()});
  return StringRef(files.back().bytes);
}

/// Whether `processor`, the "post_processor" of a tokenizer.json, puts a
/// special token in front of a single text.
static bool startsWithSpecialToken(const Object &processor) {
  if (const Array *parts = processor.getArray("processors"))
    return llvm::any_of(*parts, [](const llvm::json::Value &part) {
      const Object *object = part.getAsObject();
      return object && startsWithSpecialToken(*object);
    });
  const Array *pieces = processor.getArray("single");
  const Object *first =
      pieces && !pieces->empty() ? pieces->front().getAsObject() : nullptr;
  return first && first->getObject("SpecialToken");
}

/// Refuses models other than BPE; returns whether BOS is added.
static Expected<bool> inspectTokenizerJson(StringRef text) {
  Expected<Object> object = parseJsonObject(text);
  if (!object)
    return llvm::createFileError("tokenizer.json", object.takeError());
  const Object *model = object->getObject("model");
  // Files from before 2020-10 do not say, and are BPE if they have merges.
  StringRef type;
  if (model)
    type = model->getString("type").value_or(model->get("merges") ? "BPE" : "");
  if (type != "BPE")
    return createStringError("unknown tokenizer '" + type +
                             "' in tokenizer.json; only BPE is supported");
  const Object *processor = object->getObject("post_processor");
  return processor && startsWithSpecialToken(*processor);
}

Expected<TokenizerInfo> odyssey::readTokenizerFolder(StringRef folder) {
  TokenizerInfo info;
  using Bytes = Expected<std::optional<StringRef>>;
  Bytes json = addFile(folder, "tokenizer.json", info.files);
  if (!json)
    return json.takeError();
  if (*json) {
    Expected<bool> addBos = inspectTokenizerJson(**json);
    if (!addBos)
      return addBos.takeError();
    info.addBos = *addBos;
  }
  if (info.files.empty()) {
    Bytes model = addFile(folder, "tokenizer.model", info.files);
    if (!model)
      return model.takeError();
    // SentencePiece leaves this to its user, and LLaMA's always do it.
    info.addBos = model->has_value();
  }
  if (info.files.empty()) {
    Bytes gguf = addFile(folder, "tokenizer.gguf", info.files);
    if (!gguf)
      return gguf.takeError();
    if (!*gguf)
      return createStringError("there is no tokenizer: neither tokenizer.json "
                               "nor tokenizer.model");
    Expected<std::unique_ptr<GgufFile>> file = GgufFile::create(
        llvm::MemoryBuffer::getMemBuffer(**gguf, "", false), "tokenizer.gguf");
    if (!file)
      return file.takeError();
    return readTokenizerGguf(**file);
  }

  Bytes settings = addFile(folder, "tokenizer_config.json", info.files);
  if (!settings)
    return settings.takeError();
  if (*settings) {
    Expected<Object> object = parseJsonObject(**settings);
    if (!object)
      return llvm::createFileError("tokenizer_config.json", object.takeError());
    info.addBos = object->getBoolean("add_bos_token").value_or(info.addBos);
  }
  Bytes special = addFile(folder, "special_tokens_map.json", info.files);
  if (!special)
    return special.takeError();
  return info;
}

static void appendU32(std::string &out, uint32_t value) {
  char bytes[4];
  llvm::support::endian::write32le(bytes, value);
  out.append(bytes, 4);
}

static void appendU64(std::string &out, uint64_t value) {
  char bytes[8];
  llvm::support::endian::write64le(bytes, value);
  out.append(bytes, 8);
}

Expected<TokenizerInfo> odyssey::readTokenizerGguf(const GgufFile &file) {
  Expected<std::optional<StringRef>> model =
      file.getString("tokenizer.ggml.model");
  if (!model)
    return model.takeError();
  if (!*model)
    return createStringError("there is no tokenizer: metadata "
                             "'tokenizer.ggml.model' is missing");
  if (**model != "llama" && **model != "gpt2")
    return createStringError("unknown tokenizer '" + **model +
                             "'; GGUF tokenizers are read for 'llama' and "
                             "'gpt2'");
  Expected<std::optional<bool>> addBos =
      file.getBool("tokenizer.ggml.add_bos_token");
  if (!addBos)
    return addBos.takeError();
  Expected<std::optional<StringRef>> pre = file.getString("tokenizer.ggml.pre");
  if (!pre)
    return pre.takeError();

  // The pairs are copied as they stand in the file.
  std::string pairs;
  uint64_t count = 0;
  for (const GgufEntry &entry : file.entries()) {
    if (entry.key != "general.architecture" &&
        !entry.key.starts_with("tokenizer."))
      continue;
    pairs += llvm::toStringRef(entry.raw);
    ++count;
  }
  std::string bytes = "GGUF";
  appendU32(bytes, 3);
  appendU64(bytes, 0);
  appendU64(bytes, count);
  bytes += pairs;

  TokenizerInfo info;
  info.files.push_back({"tokenizer.gguf", std::move(bytes)});
  // The defaults of llama.cpp (llama-vocab.cpp).
  info.addBos = addBos->value_or(**model == "llama" ||
                                 pre->value_or("").starts_with("llama"));
  return info;
}

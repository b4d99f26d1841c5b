//===- TestCheckpoints.h - Small models made by tests -----------*- C++ -*-===//

#ifndef ODYSSEY_TEST_UNIT_FRONTEND_TESTCHECKPOINTS_H
#define ODYSSEY_TEST_UNIT_FRONTEND_TESTCHECKPOINTS_H

#include "GgufBuilder.h"
#include "odyssey/Frontend/Checkpoint/ModelConfig.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <map>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <vector>

namespace odyssey::testing {

/// A folder that goes with its object.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();

  std::string operator/(llvm::StringRef name) const;
  const std::string &path() const { return folder; }

  /// Writes `folder`/`name`, in a folder of its own if `name` has one, and
  /// returns its path.
  std::string write(llvm::StringRef name, llvm::StringRef bytes) const;

  /// Names of all that is in the folder, sorted.
  std::vector<std::string> list() const;

private:
  std::string folder;
};

std::string readFile(llvm::StringRef path);

/// While it lives, files that the process writes cannot grow beyond `bytes`:
/// the nearest thing to a full disk that needs no disk.
class FileSizeLimit {
public:
  explicit FileSizeLimit(uint64_t bytes);
  ~FileSizeLimit();

private:
  rlimit before;
  void (*handlerBefore)(int);
};

/// A tensor of a safetensors file, its bytes as they are to stand there.
struct RawTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

/// A safetensors file, written independently of Odyssey's writer. Its data
/// starts at a multiple of 8, or one byte behind.
std::string makeSafetensors(const std::vector<RawTensor> &tensors,
                            bool misaligned = false);

/// A model with random weights. No two tensors and no two rows are alike.
struct TestModel {
  ModelConfig config;
  /// By Hugging Face name, row-major.
  std::map<std::string, std::vector<float>> weights;
  std::map<std::string, std::vector<int64_t>> shapes;
};

/// 2 layers, 4 heads of 16 (of Qwen3, 24) that share 2 key-value heads, hidden
/// size 64, FFN 96, vocabulary 32.
TestModel makeTestModel(bool tiedEmbeddings = false,
                        Architecture architecture = Architecture::Llama);

/// config.json of `model` with only what a plain checkpoint has.
llvm::json::Object makeConfigJson(const TestModel &model);

/// A tokenizer.json that is just enough to be taken for one.
std::string makeTokenizerJson();

/// The model's tensors in fp32.
std::vector<RawTensor> rawTensors(const TestModel &model);

/// Writes the model as a Hugging Face folder of one file under `name`.
std::string writeHuggingFace(const TestModel &model,
                             const TemporaryFolder &folder,
                             llvm::StringRef name);

/// The model as a GGUF file in fp32, with Q and K as llama.cpp's conversion
/// puts them. Mistral is "llama" there.
GgufBuilder makeGguf(const TestModel &model);

/// The text of the error; empty if there is none.
std::string errorText(llvm::Error error);
template <typename T> std::string errorText(llvm::Expected<T> value) {
  return errorText(value.takeError());
}

} // namespace odyssey::testing

#endif // ODYSSEY_TEST_UNIT_FRONTEND_TESTCHECKPOINTS_H

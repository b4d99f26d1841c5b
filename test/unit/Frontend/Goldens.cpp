//===- Goldens.cpp - The files of test/goldens ----------------------------===//

#include "Goldens.h"

#include <cstring>

using namespace odyssey;
using namespace odyssey::testing;

std::string odyssey::testing::goldenFolder(llvm::StringRef name) {
  return (ODYSSEY_GOLDENS "/" + name).str();
}

Golden::Golden(llvm::StringRef name)
    : file(llvm::cantFail(SafetensorsReader::open(goldenFolder(name) +
                                                  "/golden.safetensors"))) {}

std::vector<std::string> Golden::names() const {
  std::vector<std::string> names;
  for (const SafetensorsTensor &tensor : file->tensors())
    names.push_back(tensor.name);
  return names;
}

template <typename T>
std::vector<T> Golden::values(llvm::StringRef name, StorageType type) const {
  const SafetensorsTensor *tensor = file->find(name);
  if (!tensor || tensor->type != type)
    return {};
  std::vector<T> result(tensor->bytes.size() / sizeof(T));
  std::memcpy(result.data(), tensor->bytes.data(), tensor->bytes.size());
  return result;
}

std::vector<float> Golden::floats(llvm::StringRef name) const {
  return values<float>(name, StorageType::F32);
}

std::vector<int32_t> Golden::integers(llvm::StringRef name) const {
  return values<int32_t>(name, StorageType::I32);
}

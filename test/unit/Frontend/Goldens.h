//===- Goldens.h - The files of test/goldens --------------------*- C++ -*-===//

#ifndef ODYSSEY_TEST_UNIT_FRONTEND_GOLDENS_H
#define ODYSSEY_TEST_UNIT_FRONTEND_GOLDENS_H

#include "odyssey/Frontend/Checkpoint/Safetensors.h"

#include <map>
#include <string>
#include <vector>

namespace odyssey::testing {

/// test/goldens/`name`, a Hugging Face folder that test/goldens/make.py wrote.
std::string goldenFolder(llvm::StringRef name);

/// The folder's golden.safetensors: what another program makes of it.
class Golden {
public:
  explicit Golden(llvm::StringRef name);

  std::vector<std::string> names() const;
  std::vector<float> floats(llvm::StringRef name) const;
  std::vector<int32_t> integers(llvm::StringRef name) const;

private:
  template <typename T>
  std::vector<T> values(llvm::StringRef name, StorageType type) const;

  std::unique_ptr<SafetensorsReader> file;
};

} // namespace odyssey::testing

#endif // ODYSSEY_TEST_UNIT_FRONTEND_GOLDENS_H

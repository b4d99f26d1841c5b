//===- BundleBuilder.h - Hand-made bundles for tests ------------*- C++ -*-===//

#ifndef ODYSSEY_TEST_UNIT_SESSION_BUNDLEBUILDER_H
#define ODYSSEY_TEST_UNIT_SESSION_BUNDLEBUILDER_H

#include "odyssey/runtime/Tensor.h"

#include <nlohmann/json.hpp>

#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace odyssey::runtime::testing {

/// Puts a bundle together as odyssey-compile does, with right sizes and hashes.
class BundleBuilder {
public:
  BundleBuilder &add(std::string name, std::string content);
  BundleBuilder &plan(const nlohmann::json &plan);
  /// A safetensors section with these tensors, each aligned to 256 bytes.
  BundleBuilder &
  weights(const std::vector<std::pair<std::string, HostTensor>> &tensors);

  /// The bytes of the bundle.
  std::string build() const;

private:
  std::vector<std::pair<std::string, std::string>> sections;
};

/// Makes the hashes of a changed bundle right again: those of the sections
/// that lie inside the file, and that of the table.
void fixHashes(std::string &bundle);

/// A safetensors file of a header and data.
std::string safetensors(const std::string &header, const std::string &data);

/// A file in the test's temporary folder that is removed at the end.
class TemporaryFile {
public:
  explicit TemporaryFile(const std::string &content,
                         const std::string &suffix = ".odyssey");
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile &) = delete;
  const std::string &path() const { return name; }

private:
  std::string name;
};

template <typename T>
HostTensor makeTensor(ElementType type, std::vector<int64_t> shape,
                      const std::vector<T> &values) {
  HostTensor tensor{type, std::move(shape), {}};
  auto bytes = std::as_bytes(std::span(values));
  tensor.data.assign(bytes.begin(), bytes.end());
  return tensor;
}

template <typename T> std::vector<T> valuesOf(const HostTensor &tensor) {
  std::vector<T> values(tensor.data.size() / sizeof(T));
  memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

} // namespace odyssey::runtime::testing

#endif // ODYSSEY_TEST_UNIT_SESSION_BUNDLEBUILDER_H

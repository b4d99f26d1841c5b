//===- GgufBuilder.h - GGUF files made by tests -----------------*- C++ -*-===//
//
// Written against the format's description, independently of the reader.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_FRONTEND_GGUFBUILDER_H
#define ODYSSEY_TEST_UNIT_FRONTEND_GGUFBUILDER_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace odyssey::testing {

class GgufBuilder {
public:
  uint32_t version = 3;
  uint64_t alignment = 32;

  void addU32(const std::string &key, uint32_t value);
  void addF32(const std::string &key, float value);
  void addBool(const std::string &key, bool value);
  void addString(const std::string &key, const std::string &value);
  void addStrings(const std::string &key,
                  const std::vector<std::string> &values);
  /// A pair of any type number, its payload as it stands in the file.
  void addRaw(const std::string &key, uint32_t type,
              const std::string &payload);
  /// Takes back what was added under `key`.
  void removeMetadata(const std::string &key);

  /// `shape` slowest dimension first, `type` as a number of ggml.
  void addTensor(const std::string &name, const std::vector<uint64_t> &shape,
                 uint32_t type, const std::string &bytes);
  void removeTensor(const std::string &name);

  /// The file. Afterwards `offsetOf` tells where fields lie in it:
  /// "version", "tensor count", "metadata count", and for each tensor
  /// "NAME dimensions", "NAME shape", "NAME type", "NAME offset".
  std::string build();
  std::map<std::string, size_t> offsetOf;
  /// Where the tensors' bytes start.
  size_t dataBegin = 0;

private:
  struct Pair {
    std::string key;
    uint32_t type;
    std::string payload;
  };
  struct Tensor {
    std::string name;
    std::vector<uint64_t> shape;
    uint32_t type;
    std::string bytes;
  };
  std::vector<Pair> pairs;
  std::vector<Tensor> tensors;
};

/// `value` as little-endian bytes.
std::string bytesOf32(uint32_t value);
std::string bytesOf64(uint64_t value);
std::string bytesOfFloats(const std::vector<float> &values);

} // namespace odyssey::testing

#endif // ODYSSEY_TEST_UNIT_FRONTEND_GGUFBUILDER_H

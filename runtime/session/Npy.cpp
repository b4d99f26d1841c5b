//===- Npy.cpp - NumPy's .npy files ---------------------------------------===//
//
// A file is "\x93NUMPY", a version (2 bytes), the length of the header (2 bytes
// in version 1, else 4), the header, and the elements. The header is a Python
// dictionary in text form:
//
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
//
//===----------------------------------------------------------------------===//

#include "odyssey/runtime/Npy.h"

#include "MappedFile.h"

#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

namespace odyssey::runtime {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kHeaderAlignment = 64;
constexpr size_t kMaxRank = 32;

struct DescrName {
  const char *descr;
  ElementType type;
};
// '|' says that byte order does not matter.
constexpr DescrName kDescrs[] = {
    {"|i1", ElementType::I8},   {"|u1", ElementType::U8},
    {"<i4", ElementType::I32},  {"<f2", ElementType::F16},
    {"<u2", ElementType::BF16}, {"<f4", ElementType::F32},
};

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortranOrder;
  std::optional<std::vector<int64_t>> shape;
};

/// Reads the header's dictionary. Every function returns false, and leaves the
/// rest alone, when the text is something else.
class HeaderParser {
public:
  explicit HeaderParser(std::string_view text) : text(text) {}

  bool parse(Header &header) {
    if (!take('{'))
      return false;
    while (!take('}')) {
      std::string key;
      if (!string(key) || !take(':') || !value(key, header))
        return false;
      if (!take(',') && peek() != '}')
        return false;
    }
    skipSpace();
    return text.empty();
  }

private:
  void skipSpace() {
    while (!text.empty() && (text[0] == ' ' || text[0] == '\n'))
      text.remove_prefix(1);
  }
  char peek() {
    skipSpace();
    return text.empty() ? '\0' : text[0];
  }
  bool take(char c) {
    if (peek() != c)
      return false;
    text.remove_prefix(1);
    return true;
  }
  bool take(std::string_view word) {
    skipSpace();
    if (text.substr(0, word.size()) != word)
      return false;
    text.remove_prefix(word.size());
    return true;
  }
  bool string(std::string &result) {
    char quote = peek();
    if (quote != '\'' && quote != '"')
      return false;
    size_t end = text.find(quote, 1);
    if (end == std::string_view::npos)
      return false;
    result = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    return true;
  }
  bool shape(std::vector<int64_t> &result) {
    if (!take('('))
      return false;
    while (!take(')')) {
      skipSpace();
      int64_t size = 0;
      auto [end, error] =
          std::from_chars(text.data(), text.data() + text.size(), size);
      if (error != std::errc() || size < 0 || result.size() == kMaxRank)
        return false;
      text.remove_prefix(static_cast<size_t>(end - text.data()));
      result.push_back(size);
      if (!take(',') && peek() != ')')
        return false;
    }
    return true;
  }
  /// The fields of a structured type, brackets and all.
  bool list(std::string &result) {
    size_t end = text.rfind(']');
    if (peek() != '[' || end == std::string_view::npos)
      return false;
    result = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    return true;
  }
  bool value(const std::string &key, Header &header) {
    if (key == "descr")
      return string(header.descr.emplace()) || list(*header.descr);
    if (key == "shape")
      return shape(header.shape.emplace());
    if (key != "fortran_order")
      return false;
    header.fortranOrder = take("True");
    return *header.fortranOrder || take("False");
  }

  std::string_view text;
};

Result<Header> readHeader(std::string_view &rest) {
  if (rest.substr(0, kMagic.size()) != kMagic || rest.size() < 10)
    return dataLoss("not a .npy file");
  int major = rest[6];
  if (major < 1 || major > 3)
    return unsupported(".npy version " + std::to_string(major) +
                       " is not one of 1, 2 and 3");
  size_t lengthBytes = major == 1 ? 2 : 4;
  rest.remove_prefix(8);
  if (rest.size() < lengthBytes)
    return dataLoss("the .npy header is cut short");
  uint32_t length = 0;
  memcpy(&length, rest.data(), lengthBytes);
  rest.remove_prefix(lengthBytes);
  if (length > rest.size())
    return dataLoss("the .npy header is cut short");
  Header header;
  if (!HeaderParser(rest.substr(0, length)).parse(header) || !header.descr ||
      !header.fortranOrder || !header.shape)
    return dataLoss("the .npy header is damaged");
  rest.remove_prefix(length);
  return header;
}

} // namespace

Result<HostTensor> parseNpy(std::span<const std::byte> bytes) {
  std::string_view rest(reinterpret_cast<const char *>(bytes.data()),
                        bytes.size());
  ODYSSEY_ASSIGN_OR_RETURN(Header header, readHeader(rest));
  std::optional<ElementType> type;
  for (const DescrName &entry : kDescrs)
    if (*header.descr == entry.descr)
      type = entry.type;
  if (!type)
    return unsupported("elements of NumPy type '" + *header.descr +
                       "' are not supported, only float16, float32, int8, "
                       "uint8, int32 and, for bf16, uint16, all little-endian");
  if (*header.fortranOrder)
    return unsupported("the array is in Fortran order, expected C order "
                       "(numpy.ascontiguousarray)");

  HostTensor tensor{*type, std::move(*header.shape), {}};
  auto count = elementCount(tensor.shape);
  if (!count || *count * elementBytes(*type) != rest.size())
    return dataLoss("an array " + describe(tensor.type, tensor.shape) +
                    " does not have " + std::to_string(rest.size()) +
                    " bytes of elements");
  tensor.data.resize(rest.size());
  if (!rest.empty())
    memcpy(tensor.data.data(), rest.data(), rest.size());
  return tensor;
}

Result<HostTensor> readNpyFile(const std::string &path) {
  ODYSSEY_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  Result<HostTensor> tensor = parseNpy(file.bytes());
  if (!tensor.ok())
    return tensor.status().withContext("'" + path + "'");
  return tensor;
}

std::string formatNpy(const HostTensor &tensor) {
  std::string descr;
  for (const DescrName &entry : kDescrs)
    if (entry.type == tensor.type)
      descr = entry.descr;
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    header += std::to_string(tensor.shape[i]);
    // A tuple of one is written (n,).
    if (i + 1 < tensor.shape.size() || i == 0)
      header += tensor.shape.size() == 1 ? "," : ", ";
  }
  header += "), }";
  // Spaces and a line's end align the elements.
  size_t front = kMagic.size() + 4;
  size_t length = front + header.size() + 1;
  header.append(
      (kHeaderAlignment - length % kHeaderAlignment) % kHeaderAlignment, ' ');
  header += '\n';

  std::string result(kMagic);
  result += '\1';
  result += '\0';
  result += static_cast<char>(header.size() & 0xff);
  result += static_cast<char>(header.size() >> 8);
  result += header;
  result.append(reinterpret_cast<const char *>(tensor.data.data()),
                tensor.data.size());
  return result;
}

} // namespace odyssey::runtime

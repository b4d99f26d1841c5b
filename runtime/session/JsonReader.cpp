//===- JsonReader.cpp - Reading JSON with errors that name a field --------===//

#include "JsonReader.h"

using nlohmann::json;

namespace odyssey::runtime {

JsonDocument::JsonDocument(std::string documentName, std::string_view text)
    : name(std::move(documentName)) {
  value = json::parse(text.begin(), text.end(), /*cb=*/nullptr,
                      /*allow_exceptions=*/false);
  if (value.is_discarded())
    firstError = dataLoss(name + ": not valid JSON");
}

JsonNode JsonDocument::root() {
  return JsonNode(*this, firstError.ok() ? &value : nullptr, nullptr, "", 0);
}

std::string JsonNode::path() const {
  if (!parent)
    return "";
  std::string front = parent->path();
  if (key.empty())
    return front + "[" + std::to_string(index) + "]";
  return front.empty() ? std::string(key) : front + "." + std::string(key);
}

void JsonNode::error(const std::string &message) const {
  if (!document.firstError.ok())
    return;
  std::string where = path();
  std::string text =
      document.name + ": " + (where.empty() ? "" : where + ": ") + message;
  // Names of a damaged file may hold anything; terminals obey some of it.
  for (char &c : text)
    if (static_cast<unsigned char>(c) < ' ')
      c = '?';
  document.firstError = dataLoss(std::move(text));
}

void JsonNode::expected(const std::string &what) const {
  if (!value)
    return;
  constexpr size_t kShown = 40;
  // A string that is not UTF-8 never gets here: the parser refuses it.
  std::string got = value->is_structured() ? value->type_name() : value->dump();
  if (got.size() > kShown)
    got = got.substr(0, kShown) + "...";
  error("expected " + what + ", got " + got);
}

bool JsonNode::failed() const { return !document.firstError.ok(); }

JsonNode JsonNode::operator[](std::string_view memberKey) const {
  const json *member = nullptr;
  if (value && !value->is_object()) {
    expected("an object");
  } else if (value) {
    auto found = value->find(memberKey);
    if (found == value->end())
      error("'" + std::string(memberKey) + "' is missing");
    else
      member = &*found;
  }
  return JsonNode(document, member, this, memberKey, 0);
}

JsonNode JsonNode::at(size_t elementIndex) const {
  const json *element =
      value && value->is_array() && elementIndex < value->size()
          ? &(*value)[elementIndex]
          : nullptr;
  return JsonNode(document, element, this, "", elementIndex);
}

bool JsonNode::has(std::string_view memberKey) const {
  if (!value || !value->is_object())
    return false;
  auto found = value->find(memberKey);
  return found != value->end() && !found->is_null();
}

bool JsonNode::isString() const { return value && value->is_string(); }

size_t JsonNode::size(size_t min, size_t max) const {
  if (!value)
    return 0;
  if (!value->is_array()) {
    expected("an array");
    return 0;
  }
  size_t count = value->size();
  if (count >= min && count <= max)
    return count;
  std::string range = min == max ? std::to_string(min)
                      : max == SIZE_MAX
                          ? "at least " + std::to_string(min)
                          : std::to_string(min) + " to " + std::to_string(max);
  error("expected an array of " + range + " elements, got " +
        std::to_string(count));
  return 0;
}

int64_t JsonNode::integer(int64_t min, int64_t max) const {
  if (!value)
    return min;
  bool inRange = false;
  if (value->is_number_unsigned()) {
    uint64_t number = value->get<uint64_t>();
    inRange = max >= 0 && number <= static_cast<uint64_t>(max) &&
              (min <= 0 || number >= static_cast<uint64_t>(min));
  } else if (value->is_number_integer()) {
    int64_t number = value->get<int64_t>();
    inRange = number >= min && number <= max;
  }
  if (inRange)
    return value->get<int64_t>();
  if (max < min)
    error("is an index into an empty table");
  expected("an integer from " + std::to_string(min) + " to " +
           std::to_string(max));
  return min;
}

double JsonNode::number() const {
  if (value && value->is_number())
    return value->get<double>();
  expected("a number");
  return 0;
}

bool JsonNode::boolean() const {
  if (value && value->is_boolean())
    return value->get<bool>();
  expected("true or false");
  return false;
}

std::string JsonNode::string() const {
  if (value && value->is_string() &&
      !value->get_ref<const std::string &>().empty())
    return value->get<std::string>();
  expected("a string that is not empty");
  return "";
}

const json &JsonNode::members() const {
  static const json empty = json::object();
  if (value && value->is_object())
    return *value;
  expected("an object");
  return empty;
}

} // namespace odyssey::runtime

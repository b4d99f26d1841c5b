//===- JsonReader.h - Reading JSON with errors that name a field -*- C++ -*-==//
//
// A cursor over a parsed JSON document. The first thing that is not as expected
// is remembered with its path; after that every read returns a harmless
// default, so that the code which reads a document is a plain description of
// it, and asks for the error once at its end.
//
//   JsonDocument document("plan.json", text);
//   JsonNode root = document.root();
//   int64_t tokens = root["model"]["context"].integer(1, 1 << 20);
//   ODYSSEY_RETURN_IF_ERROR(document.status());
//
// A JsonNode refers to the node it was taken from and must not outlive it.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_SESSION_JSONREADER_H
#define ODYSSEY_RUNTIME_SESSION_JSONREADER_H

#include "odyssey/runtime/Status.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace odyssey::runtime {

class JsonNode;

class JsonDocument {
public:
  /// `name` begins every error message.
  JsonDocument(std::string name, std::string_view text);
  JsonDocument(const JsonDocument &) = delete;
  JsonDocument &operator=(const JsonDocument &) = delete;

  JsonNode root();

  /// The first error so far; all are DataLoss.
  const Status &status() const { return firstError; }

private:
  friend class JsonNode;

  std::string name;
  nlohmann::json value;
  Status firstError;
};

class JsonNode {
public:
  /// The member `key`; an error when this is no object or has no such member.
  /// The node refers to `key` as long as it lives.
  JsonNode operator[](std::string_view key) const;
  /// The element `index` of an array, in range of `size()`.
  JsonNode at(size_t index) const;

  /// Whether this is an object with a member `key` that is not null.
  bool has(std::string_view key) const;
  bool isString() const;

  /// The elements of an array. An error when it is none, or has fewer than
  /// `min` or more than `max` elements.
  size_t size(size_t min = 0, size_t max = SIZE_MAX) const;

  /// An integer from `min` to `max`.
  int64_t integer(int64_t min, int64_t max) const;
  /// A number, with a fraction or without.
  double number() const;
  bool boolean() const;
  /// A string that is not empty.
  std::string string() const;

  /// The members of an object, in the order of their names.
  const nlohmann::json &members() const;

  /// Whether the document has an error, here or elsewhere.
  bool failed() const;

  /// Reports that this value is wrong: its path, ": ", and `message`.
  void error(const std::string &message) const;

private:
  friend class JsonDocument;
  JsonNode(JsonDocument &document, const nlohmann::json *value,
           const JsonNode *parent, std::string_view key, size_t index)
      : document(document), value(value), parent(parent), key(key),
        index(index) {}

  std::string path() const;
  void expected(const std::string &what) const;

  JsonDocument &document;
  /// Null once something on the way here was wrong.
  const nlohmann::json *value;
  const JsonNode *parent;
  /// Of a member; else this is element `index`.
  std::string_view key;
  size_t index;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_JSONREADER_H

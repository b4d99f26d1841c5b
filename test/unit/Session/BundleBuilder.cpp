//===- BundleBuilder.cpp - Hand-made bundles for tests --------------------===//

#include "BundleBuilder.h"

#include "odyssey/runtime/BundleFormat.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <unistd.h>

using nlohmann::json;

namespace odyssey::runtime::testing {

using bundle::FileHeader;
using bundle::SectionEntry;

namespace {
uint64_t alignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

const char *safetensorsName(ElementType type) {
  static const char *const names[] = {"I8", "U8", "I32", "F16", "BF16", "F32"};
  return names[static_cast<size_t>(type)];
}
} // namespace

std::string safetensors(const std::string &header, const std::string &data) {
  uint64_t size = header.size();
  std::string result(sizeof(size), '\0');
  memcpy(result.data(), &size, sizeof(size));
  return result + header + data;
}

BundleBuilder &BundleBuilder::add(std::string name, std::string content) {
  sections.emplace_back(std::move(name), std::move(content));
  return *this;
}

BundleBuilder &BundleBuilder::plan(const json &plan) {
  return add(bundle::kPlanSection, plan.dump());
}

BundleBuilder &BundleBuilder::weights(
    const std::vector<std::pair<std::string, HostTensor>> &tensors) {
  constexpr uint64_t kAlignment = 256;
  json header = json::object();
  std::string data;
  for (auto &[name, tensor] : tensors) {
    data.resize(alignUp(data.size(), kAlignment));
    header[name] = {
        {"dtype", safetensorsName(tensor.type)},
        {"shape", tensor.shape},
        {"data_offsets", {data.size(), data.size() + tensor.data.size()}}};
    data.append(reinterpret_cast<const char *>(tensor.data.data()),
                tensor.data.size());
  }
  std::string text = header.dump();
  // Spaces behind the header, as the format allows, align the data.
  text.resize(alignUp(text.size() + sizeof(uint64_t), kAlignment) -
                  sizeof(uint64_t),
              ' ');
  return add(bundle::kWeightsSection, safetensors(text, data));
}

std::string BundleBuilder::build() const {
  std::vector<SectionEntry> table;
  uint64_t offset = bundle::kSectionAlignment;
  for (auto &[name, content] : sections) {
    SectionEntry entry = {};
    strncpy(entry.name, name.c_str(), sizeof(entry.name) - 1);
    entry.offset = offset;
    entry.bytes = content.size();
    table.push_back(entry);
    offset = alignUp(offset + content.size(), bundle::kSectionAlignment);
  }
  FileHeader header = {};
  memcpy(header.magic, bundle::kMagic, sizeof(header.magic));
  header.version = bundle::kVersion;
  header.sectionCount = static_cast<uint32_t>(table.size());
  header.fileBytes = offset;

  std::string file(offset, '\0');
  memcpy(file.data(), &header, sizeof(header));
  if (!table.empty())
    memcpy(file.data() + sizeof(header), table.data(),
           table.size() * sizeof(SectionEntry));
  for (size_t i = 0; i < table.size(); ++i)
    memcpy(file.data() + table[i].offset, sections[i].second.data(),
           table[i].bytes);
  fixHashes(file);
  return file;
}

void fixHashes(std::string &file) {
  FileHeader header;
  memcpy(&header, file.data(), sizeof(header));
  char *table = file.data() + sizeof(header);
  for (uint32_t i = 0; i < header.sectionCount; ++i) {
    SectionEntry entry;
    memcpy(&entry, table + i * sizeof(entry), sizeof(entry));
    if (entry.offset > file.size() || entry.bytes > file.size() - entry.offset)
      continue;
    entry.hash = XXH3_64bits(file.data() + entry.offset, entry.bytes);
    memcpy(table + i * sizeof(entry), &entry, sizeof(entry));
  }
  header.tableHash =
      XXH3_64bits(table, header.sectionCount * sizeof(SectionEntry));
  memcpy(file.data(), &header, sizeof(header));
}

TemporaryFile::TemporaryFile(const std::string &content,
                             const std::string &suffix) {
  name = ::testing::TempDir() + "odyssey-XXXXXX" + suffix;
  int descriptor = mkstemps(name.data(), static_cast<int>(suffix.size()));
  EXPECT_GE(descriptor, 0);
  close(descriptor);
  std::ofstream(name, std::ios::binary)
      .write(content.data(), static_cast<std::streamsize>(content.size()));
}

TemporaryFile::~TemporaryFile() { std::remove(name.c_str()); }

} // namespace odyssey::runtime::testing

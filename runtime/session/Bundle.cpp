//===- Bundle.cpp - A compiled model on disk ------------------------------===//

#include "odyssey/runtime/Bundle.h"

#include "MappedFile.h"
#include "WeightTable.h"
#include "odyssey/runtime/BundleFormat.h"

// The hash is compiled in: the runtime then needs no shared library for it.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <future>
#include <vector>

static_assert(std::endian::native == std::endian::little,
              "bundles are little-endian and mapped as they are");

namespace odyssey::runtime {

using bundle::FileHeader;
using bundle::SectionEntry;

namespace {

struct Section {
  std::string name;
  std::span<const std::byte> bytes;
  uint64_t hash = 0;
};

uint64_t hashOf(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Status checkHash(const Section &section) {
  if (hashOf(section.bytes) == section.hash)
    return Status::success();
  return dataLoss("section '" + section.name + "' does not match its hash");
}

/// Reads the header and returns the section table's entries.
Result<std::vector<SectionEntry>> readTable(std::span<const std::byte> file) {
  FileHeader header;
  if (file.size() < sizeof(header))
    return dataLoss("not an Odyssey bundle: the file is only " +
                    std::to_string(file.size()) + " bytes long");
  memcpy(&header, file.data(), sizeof(header));
  if (memcmp(header.magic, bundle::kMagic, sizeof(header.magic)) != 0)
    return dataLoss("not an Odyssey bundle: it begins with other bytes");
  if (header.version != bundle::kVersion)
    return dataLoss("bundle format version " + std::to_string(header.version) +
                    ", but this runtime reads version " +
                    std::to_string(bundle::kVersion) +
                    "; compile the model again");
  if (header.fileBytes != file.size())
    return dataLoss("the file is " + std::to_string(file.size()) +
                    " bytes long, but its header says " +
                    std::to_string(header.fileBytes));
  if (header.sectionCount > bundle::kMaxSections ||
      header.sectionCount * sizeof(SectionEntry) > file.size() - sizeof(header))
    return dataLoss("a table of " + std::to_string(header.sectionCount) +
                    " sections does not fit");
  std::span<const std::byte> table =
      file.subspan(sizeof(header), header.sectionCount * sizeof(SectionEntry));
  if (hashOf(table) != header.tableHash)
    return dataLoss("the section table does not match its hash");
  std::vector<SectionEntry> entries(header.sectionCount);
  if (!entries.empty())
    memcpy(entries.data(), table.data(), table.size());
  return entries;
}

/// Turns the table's entries into sections that lie inside the file, behind the
/// table, aligned, without overlap and with distinct names.
Result<std::vector<Section>> readSections(std::span<const std::byte> file) {
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<SectionEntry> entries, readTable(file));
  uint64_t tableEnd =
      sizeof(FileHeader) + entries.size() * sizeof(SectionEntry);
  std::vector<Section> sections;
  for (size_t i = 0; i < entries.size(); ++i) {
    const SectionEntry &entry = entries[i];
    const char *nameEnd =
        std::find(entry.name, entry.name + sizeof(entry.name), '\0');
    Section section;
    section.name.assign(entry.name, nameEnd);
    if (section.name.empty() || nameEnd == entry.name + sizeof(entry.name))
      return dataLoss("section " + std::to_string(i) + " has no proper name");
    std::string quoted = "section '" + section.name + "'";
    if (entry.offset % bundle::kSectionAlignment != 0)
      return dataLoss(quoted + " is not aligned to 4096 bytes");
    if (entry.offset < tableEnd || entry.offset > file.size() ||
        entry.bytes > file.size() - entry.offset)
      return dataLoss(quoted + " lies outside of the file");
    for (const Section &other : sections)
      if (other.name == section.name)
        return dataLoss(quoted + " stands twice");
    section.bytes = file.subspan(entry.offset, entry.bytes);
    section.hash = entry.hash;
    sections.push_back(std::move(section));
  }

  std::vector<const Section *> byOffset;
  for (const Section &section : sections)
    byOffset.push_back(&section);
  std::sort(byOffset.begin(), byOffset.end(),
            [](const Section *a, const Section *b) {
              return a->bytes.data() < b->bytes.data();
            });
  for (size_t i = 1; i < byOffset.size(); ++i) {
    const Section &left = *byOffset[i - 1], &right = *byOffset[i];
    if (left.bytes.data() + left.bytes.size() > right.bytes.data())
      return dataLoss("sections '" + left.name + "' and '" + right.name +
                      "' overlap");
  }
  return sections;
}

std::string_view asText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

} // namespace

struct Bundle::Content {
  std::string path;
  MappedFile file;
  std::vector<Section> sections;
  Plan plan;
  bool hasWeights = false;
  std::vector<std::span<const std::byte>> weights;

  const Section *find(std::string_view name) const {
    for (const Section &section : sections)
      if (section.name == name)
        return &section;
    return nullptr;
  }

  Status read(const BundleOptions &options);
  Status readPlanAndWeights();
};

Status Bundle::Content::read(const BundleOptions &options) {
  ODYSSEY_ASSIGN_OR_RETURN(sections, readSections(file.bytes()));

  // Hashing gigabytes of weights takes as long as reading them from the disk;
  // everything else is done meanwhile.
  const Section *weightsSection = find(bundle::kWeightsSection);
  std::future<Status> weightsCheck;
  if (weightsSection && options.checkWeights)
    weightsCheck =
        std::async(std::launch::async, checkHash, std::cref(*weightsSection));
  Status rest;
  for (const Section &section : sections)
    if (&section != weightsSection && rest.ok())
      rest = checkHash(section);
  if (rest.ok())
    rest = readPlanAndWeights();
  // A damaged section explains everything that is wrong inside it.
  if (weightsCheck.valid())
    ODYSSEY_RETURN_IF_ERROR(weightsCheck.get());
  return rest;
}

Status Bundle::Content::readPlanAndWeights() {
  const Section *planSection = find(bundle::kPlanSection);
  if (!planSection)
    return dataLoss("section 'plan.json' is missing");
  ODYSSEY_ASSIGN_OR_RETURN(plan, parsePlan(asText(planSection->bytes)));

  auto checkPresent = [&](const std::string &name, const std::string &user) {
    if (name.empty() || find(name))
      return Status::success();
    return dataLoss("section '" + name + "' of " + user + " is missing");
  };
  for (const ModulePlan &module : plan.modules) {
    std::string user = "module '" + module.name + "'";
    ODYSSEY_RETURN_IF_ERROR(checkPresent(module.ptx, user));
    ODYSSEY_RETURN_IF_ERROR(checkPresent(module.cubin, user));
  }
  if (plan.model)
    ODYSSEY_RETURN_IF_ERROR(
        checkPresent(plan.model->tokenizer, "the tokenizer"));

  if (const Section *section = find(bundle::kWeightsSection)) {
    ODYSSEY_ASSIGN_OR_RETURN(weights,
                             readWeightTable(section->bytes, plan.weights));
    hasWeights = true;
  }
  // A program without any constants needs no section for them.
  hasWeights |= plan.weights.empty();
  return Status::success();
}

Bundle::Bundle(std::unique_ptr<Content> c) : content(std::move(c)) {}
Bundle::~Bundle() = default;

Result<std::shared_ptr<const Bundle>>
Bundle::open(const std::string &path, const BundleOptions &options) {
  auto content = std::make_unique<Content>();
  content->path = path;
  ODYSSEY_ASSIGN_OR_RETURN(content->file, MappedFile::open(path));
  ODYSSEY_RETURN_IF_ERROR(content->read(options).withContext("'" + path + "'"));
  return std::shared_ptr<const Bundle>(new Bundle(std::move(content)));
}

const std::string &Bundle::path() const { return content->path; }
const Plan &Bundle::plan() const { return content->plan; }

std::optional<std::span<const std::byte>>
Bundle::section(std::string_view name) const {
  if (const Section *section = content->find(name))
    return section->bytes;
  return std::nullopt;
}

bool Bundle::hasWeights() const { return content->hasWeights; }

std::span<const std::byte> Bundle::weight(size_t index) const {
  return content->weights[index];
}

ModuleImage Bundle::moduleImage(size_t index) const {
  const ModulePlan &module = content->plan.modules[index];
  ModuleImage image;
  image.name = module.name;
  image.ptx = asText(*section(module.ptx));
  if (!module.cubin.empty())
    image.cubin = *section(module.cubin);
  image.cubinCapability = module.cubinCapability;
  return image;
}

Status Bundle::checkRunsOn(const DeviceProperties &device) const {
  const TargetName &target = content->plan.target;
  int capability = device.computeCapability;
  if (capability == 0 || capability == target.computeCapability ||
      (!target.exact && capability > target.computeCapability))
    return Status::success();
  return failedPrecondition(
      "'" + content->path + "' is compiled for " + target.text + ", but " +
      device.name + " is sm_" + std::to_string(capability) +
      "; compile the model again with --target for this device");
}

} // namespace odyssey::runtime

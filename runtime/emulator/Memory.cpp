//===- Memory.cpp - The emulator's address space --------------------------===//

#include "Memory.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace odyssey::runtime::emulator {

namespace {
constexpr uint64_t kAlignment = 256;
/// What fresh memory holds when writes are tracked: NaN in every float type
/// and a large negative number in every integer type.
constexpr uint8_t kPoison = 0xFF;
} // namespace

std::string hexText(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%llx",
                static_cast<unsigned long long>(value));
  return text;
}

AddressSpace::~AddressSpace() {
  for (auto &[base, allocation] : allocations)
    if (allocation.owned)
      std::free(allocation.host);
}

Allocation &AddressSpace::insert(size_t bytes, std::string_view label) {
  Allocation allocation;
  allocation.base = nextBase;
  allocation.size = bytes;
  allocation.label = std::string(label);
  uint64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  nextBase += rounded + kRedzoneBytes;
  return allocations.emplace(allocation.base, std::move(allocation))
      .first->second;
}

Result<DeviceAddress> AddressSpace::allocate(size_t bytes,
                                             std::string_view label) {
  if (bytes == 0)
    return invalidArgument("allocation '" + std::string(label) +
                           "' has no bytes");
  // calloc leaves large blocks to the operating system until they are touched.
  size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void *host = rounded < bytes ? nullptr : std::calloc(rounded, 1);
  if (!host)
    return resourceExhausted("no memory for " + std::to_string(bytes) +
                             " bytes of '" + std::string(label) + "'");
  Allocation &allocation = insert(bytes, label);
  allocation.host = static_cast<uint8_t *>(host);
  allocation.owned = true;
  if (trackWrites) {
    std::memset(host, kPoison, bytes);
    allocation.written.assign(bytes, 0);
  }
  return allocation.base;
}

Result<DeviceAddress> AddressSpace::importReadOnly(const void *host,
                                                   size_t bytes,
                                                   std::string_view label) {
  if (bytes == 0 || !host)
    return invalidArgument("import of '" + std::string(label) +
                           "' has no bytes");
  Allocation &allocation = insert(bytes, label);
  allocation.host = static_cast<uint8_t *>(const_cast<void *>(host));
  allocation.readOnly = true;
  return allocation.base;
}

Status AddressSpace::free(DeviceAddress address) {
  auto found = allocations.find(address);
  if (found == allocations.end())
    return invalidArgument("free of " + hexText(address) +
                           ", which is no allocation");
  Allocation &allocation = found->second;
  if (allocation.freed)
    return invalidArgument("'" + allocation.label + "' is freed twice");
  if (allocation.owned)
    std::free(allocation.host);
  allocation.host = nullptr;
  allocation.owned = false;
  allocation.freed = true;
  allocation.written = {};
  return Status::success();
}

const Allocation *AddressSpace::find(uint64_t address) const {
  auto after = allocations.upper_bound(address);
  if (after == allocations.begin())
    return nullptr;
  const Allocation &allocation = std::prev(after)->second;
  return !allocation.freed && allocation.contains(address, 1) ? &allocation
                                                              : nullptr;
}

Result<uint8_t *> AddressSpace::range(uint64_t address, size_t bytes,
                                      bool write) {
  const Allocation *allocation = find(address);
  if (!allocation || !allocation->contains(address, bytes))
    return invalidArgument(
        std::to_string(bytes) + " bytes at " + hexText(address) +
        " are no part of an allocation: " + describe(address));
  if (write && allocation->readOnly)
    return invalidArgument("write to '" + allocation->label +
                           "', which is imported for reading");
  return allocation->host + (address - allocation->base);
}

void AddressSpace::markWritten(uint64_t address, size_t bytes) {
  auto after = allocations.upper_bound(address);
  if (after == allocations.begin())
    return;
  Allocation &allocation = std::prev(after)->second;
  if (!allocation.written.empty())
    std::memset(allocation.written.data() + (address - allocation.base), 1,
                bytes);
}

std::string AddressSpace::describe(uint64_t address) const {
  auto name = [](const Allocation &allocation) {
    return "'" + allocation.label + "' (" + std::to_string(allocation.size) +
           " bytes at " + hexText(allocation.base) +
           (allocation.freed ? ", freed)" : ")");
  };
  auto after = allocations.upper_bound(address);
  const Allocation *before =
      after == allocations.begin() ? nullptr : &std::prev(after)->second;
  if (before && before->contains(address, 1))
    return std::to_string(address - before->base) + " bytes into " +
           name(*before);
  uint64_t behind = before ? address - (before->base + before->size) : ~0ull;
  uint64_t ahead =
      after == allocations.end() ? ~0ull : after->second.base - address;
  if (before && behind <= ahead)
    return std::to_string(behind) + " bytes after the end of " + name(*before);
  if (after != allocations.end())
    return std::to_string(ahead) + " bytes before " + name(after->second);
  return "there is no allocation";
}

} // namespace odyssey::runtime::emulator

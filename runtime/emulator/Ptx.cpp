//===- Ptx.cpp - A parsed PTX module --------------------------------------===//

#include "Ptx.h"

namespace odyssey::runtime::emulator {

namespace {
struct TypeInfo {
  PtxType type;
  const char *name;
  unsigned bits;
  enum Class : uint8_t { Other, Signed, Unsigned, Float } kind;
};

constexpr TypeInfo kTypes[] = {
    {PtxType::None, "none", 0, TypeInfo::Other},
    {PtxType::Pred, "pred", 1, TypeInfo::Other},
    {PtxType::B8, "b8", 8, TypeInfo::Unsigned},
    {PtxType::U8, "u8", 8, TypeInfo::Unsigned},
    {PtxType::S8, "s8", 8, TypeInfo::Signed},
    {PtxType::B16, "b16", 16, TypeInfo::Unsigned},
    {PtxType::U16, "u16", 16, TypeInfo::Unsigned},
    {PtxType::S16, "s16", 16, TypeInfo::Signed},
    {PtxType::B32, "b32", 32, TypeInfo::Unsigned},
    {PtxType::U32, "u32", 32, TypeInfo::Unsigned},
    {PtxType::S32, "s32", 32, TypeInfo::Signed},
    {PtxType::B64, "b64", 64, TypeInfo::Unsigned},
    {PtxType::U64, "u64", 64, TypeInfo::Unsigned},
    {PtxType::S64, "s64", 64, TypeInfo::Signed},
    {PtxType::F16, "f16", 16, TypeInfo::Float},
    {PtxType::F16x2, "f16x2", 32, TypeInfo::Float},
    {PtxType::BF16, "bf16", 16, TypeInfo::Float},
    {PtxType::BF16x2, "bf16x2", 32, TypeInfo::Float},
    {PtxType::F32, "f32", 32, TypeInfo::Float},
    {PtxType::F64, "f64", 64, TypeInfo::Float},
};

const TypeInfo &info(PtxType type) {
  return kTypes[static_cast<unsigned>(type)];
}
} // namespace

std::optional<PtxType> parseType(std::string_view name) {
  for (const TypeInfo &candidate : kTypes)
    if (candidate.bits && name == candidate.name)
      return candidate.type;
  return std::nullopt;
}

const char *typeName(PtxType type) { return info(type).name; }
unsigned bitWidth(PtxType type) { return info(type).bits; }
bool isSigned(PtxType type) { return info(type).kind == TypeInfo::Signed; }
bool isFloat(PtxType type) { return info(type).kind == TypeInfo::Float; }
bool isInteger(PtxType type) {
  return info(type).kind == TypeInfo::Signed ||
         info(type).kind == TypeInfo::Unsigned;
}

} // namespace odyssey::runtime::emulator

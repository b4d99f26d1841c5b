//===- StorageType.cpp - How a checkpoint stores numbers ------------------===//

#include "odyssey/Frontend/Checkpoint/StorageType.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/ErrorHandling.h"

using namespace odyssey;

namespace {

struct TypeRow {
  StorageType type;
  llvm::StringRef name;
  StorageBlock block;
  bool dequantizable;
};

/// A number of ggml's enum ggml_type. Those with a `type` can be read.
struct GgmlRow {
  uint32_t id;
  llvm::StringRef name;
  std::optional<StorageType> type;
};

} // namespace

/// In the order of the enum.
static constexpr TypeRow typeTable[] = {
    {StorageType::BOOL, "BOOL", {1, 1}, false},
    {StorageType::U8, "U8", {1, 1}, false},
    {StorageType::I8, "I8", {1, 1}, false},
    {StorageType::F8_E5M2, "F8_E5M2", {1, 1}, false},
    {StorageType::F8_E4M3, "F8_E4M3", {1, 1}, false},
    {StorageType::I16, "I16", {1, 2}, false},
    {StorageType::U16, "U16", {1, 2}, false},
    {StorageType::F16, "F16", {1, 2}, true},
    {StorageType::BF16, "BF16", {1, 2}, true},
    {StorageType::I32, "I32", {1, 4}, false},
    {StorageType::U32, "U32", {1, 4}, false},
    {StorageType::F32, "F32", {1, 4}, true},
    {StorageType::I64, "I64", {1, 8}, false},
    {StorageType::U64, "U64", {1, 8}, false},
    {StorageType::F64, "F64", {1, 8}, false},
    {StorageType::Q4_0, "Q4_0", {32, 18}, true},
    {StorageType::Q4_1, "Q4_1", {32, 20}, true},
    {StorageType::Q5_0, "Q5_0", {32, 22}, true},
    {StorageType::Q5_1, "Q5_1", {32, 24}, true},
    {StorageType::Q8_0, "Q8_0", {32, 34}, true},
    {StorageType::Q4_K, "Q4_K", {256, 144}, true},
    {StorageType::Q6_K, "Q6_K", {256, 210}, true},
};

/// The numbers 4, 5, 31 to 33 and 36 to 38 belonged to formats that ggml has
/// removed.
static constexpr GgmlRow ggmlTable[] = {
    {0, "F32", StorageType::F32},    {1, "F16", StorageType::F16},
    {2, "Q4_0", StorageType::Q4_0},  {3, "Q4_1", StorageType::Q4_1},
    {6, "Q5_0", StorageType::Q5_0},  {7, "Q5_1", StorageType::Q5_1},
    {8, "Q8_0", StorageType::Q8_0},  {9, "Q8_1", std::nullopt},
    {10, "Q2_K", std::nullopt},      {11, "Q3_K", std::nullopt},
    {12, "Q4_K", StorageType::Q4_K}, {13, "Q5_K", std::nullopt},
    {14, "Q6_K", StorageType::Q6_K}, {15, "Q8_K", std::nullopt},
    {16, "IQ2_XXS", std::nullopt},   {17, "IQ2_XS", std::nullopt},
    {18, "IQ3_XXS", std::nullopt},   {19, "IQ1_S", std::nullopt},
    {20, "IQ4_NL", std::nullopt},    {21, "IQ3_S", std::nullopt},
    {22, "IQ2_S", std::nullopt},     {23, "IQ4_XS", std::nullopt},
    {24, "I8", std::nullopt},        {25, "I16", std::nullopt},
    {26, "I32", std::nullopt},       {27, "I64", std::nullopt},
    {28, "F64", std::nullopt},       {29, "IQ1_M", std::nullopt},
    {30, "BF16", StorageType::BF16}, {34, "TQ1_0", std::nullopt},
    {35, "TQ2_0", std::nullopt},     {39, "MXFP4", std::nullopt},
};

static const TypeRow &rowOf(StorageType type) {
  const TypeRow &row = typeTable[static_cast<size_t>(type)];
  assert(row.type == type && "the table is in the order of the enum");
  return row;
}

static const GgmlRow *findGgml(uint32_t id) {
  const GgmlRow *row =
      llvm::find_if(ggmlTable, [&](const GgmlRow &r) { return r.id == id; });
  return row == std::end(ggmlTable) ? nullptr : row;
}

llvm::StringRef odyssey::storageTypeName(StorageType type) {
  return rowOf(type).name;
}

StorageBlock odyssey::storageBlock(StorageType type) {
  return rowOf(type).block;
}

bool odyssey::isDequantizable(StorageType type) {
  return rowOf(type).dequantizable;
}

std::optional<StorageType> odyssey::parseSafetensorsType(llvm::StringRef name) {
  for (const TypeRow &row : typeTable)
    if (row.block.elements == 1 && row.name == name)
      return row.type;
  return std::nullopt;
}

std::optional<StorageType> odyssey::parseGgmlType(uint32_t id) {
  const GgmlRow *row = findGgml(id);
  return row ? row->type : std::nullopt;
}

std::string odyssey::ggmlTypeName(uint32_t id) {
  const GgmlRow *row = findGgml(id);
  return row ? row->name.str() : ("type " + llvm::Twine(id)).str();
}

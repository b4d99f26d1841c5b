//===- NpyTest.cpp - NumPy's .npy files -----------------------------------===//

#include "odyssey/runtime/Npy.h"

#include "BundleBuilder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using ::testing::HasSubstr;

namespace {

Result<HostTensor> parse(const std::string &bytes) {
  return parseNpy(std::as_bytes(std::span(bytes)));
}

/// A file of a version with this header, as NumPy would lay it out.
std::string file(int version, std::string header, const std::string &data) {
  std::string result = "\x93NUMPY";
  result += static_cast<char>(version);
  result += '\0';
  uint32_t length = static_cast<uint32_t>(header.size());
  result.append(reinterpret_cast<const char *>(&length), version == 1 ? 2 : 4);
  return result + header + data;
}

const std::string kVector =
    "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n";
const std::string kTwoInts("\1\0\0\0\2\0\0\0", 8);

TEST(NpyTest, RoundTripsEveryTypeAndRank) {
  std::mt19937 random(1);
  for (ElementType type :
       {ElementType::I8, ElementType::U8, ElementType::I32, ElementType::F16,
        ElementType::BF16, ElementType::F32})
    for (std::vector<int64_t> shape :
         {std::vector<int64_t>{}, {5}, {3, 4}, {2, 1, 7}, {0}, {3, 0, 2}}) {
      HostTensor tensor{type, shape, {}};
      tensor.data.resize(*elementCount(shape) * elementBytes(type));
      for (std::byte &byte : tensor.data)
        byte = static_cast<std::byte>(random());
      std::string bytes = formatNpy(tensor);
      EXPECT_EQ((bytes.size() - tensor.data.size()) % 64, 0u);
      auto read = parse(bytes);
      ASSERT_TRUE(read.ok()) << read.status().message();
      EXPECT_EQ(read->type, type);
      EXPECT_EQ(read->shape, shape);
      EXPECT_EQ(read->data, tensor.data);
    }
}

TEST(NpyTest, WritesWhatNumPyWrites) {
  // numpy.save of np.array([[1, 2]], dtype=np.int32), NumPy 1.24.
  HostTensor tensor = makeTensor<int32_t>(ElementType::I32, {1, 2}, {1, 2});
  std::string header =
      "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 2), }";
  header.resize(117, ' ');
  EXPECT_EQ(formatNpy(tensor), file(1, header + "\n", kTwoInts));
}

TEST(NpyTest, ReadsAllVersionsAndSpellings) {
  for (int version : {1, 2, 3})
    for (std::string header :
         {kVector,
          std::string("{\"shape\":(2),\"descr\":\"<i4\","
                      "\"fortran_order\":False}"),
          std::string("{  'descr' : '<i4' ,'shape': ( 2 , ) , "
                      "'fortran_order' : False }   \n")}) {
      auto tensor = parse(file(version, header, kTwoInts));
      ASSERT_TRUE(tensor.ok()) << tensor.status().message() << header;
      EXPECT_EQ(tensor->shape, std::vector<int64_t>{2});
      EXPECT_EQ(valuesOf<int32_t>(*tensor), (std::vector<int32_t>{1, 2}));
    }
}

TEST(NpyTest, RefusesByNameWhatItDoesNotSupport) {
  auto message = [](const std::string &descr, const std::string &order) {
    auto tensor =
        parse(file(1,
                   "{'descr': " + descr + ", 'fortran_order': " + order +
                       ", 'shape': (2,), }",
                   kTwoInts));
    EXPECT_EQ(tensor.status().code(), StatusCode::Unsupported);
    return tensor.status().message();
  };
  EXPECT_THAT(message("'<f8'", "False"), HasSubstr("'<f8'"));
  EXPECT_THAT(message("'<i8'", "False"), HasSubstr("'<i8'"));
  EXPECT_THAT(message("'>i4'", "False"), HasSubstr("'>i4'"));
  EXPECT_THAT(message("'|b1'", "False"), HasSubstr("'|b1'"));
  EXPECT_THAT(message("'|O'", "False"), HasSubstr("'|O'"));
  EXPECT_THAT(message("[('a', '<i4'), ('b', '<f4')]", "False"),
              HasSubstr("[('a'"));
  EXPECT_THAT(message("'<i4'", "True"), HasSubstr("Fortran order"));
  EXPECT_EQ(parse(file(4, kVector, kTwoInts)).status().code(),
            StatusCode::Unsupported);
}

TEST(NpyTest, EveryTruncationIsDamage) {
  std::string whole = file(1, kVector, kTwoInts);
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_EQ(parse(whole.substr(0, length)).status().code(),
              StatusCode::DataLoss)
        << length;
  EXPECT_EQ(parse(whole + "x").status().code(), StatusCode::DataLoss);
}

TEST(NpyTest, DamagedHeadersAreDamage) {
  for (const char *header :
       {"", "{}", "{'descr': '<i4', 'fortran_order': False}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (-2,)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2.0,)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': 2}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2,",
        "{'descr': '<i4', 'fortran_order': None, 'shape': (2,)}",
        "{'descr': '<i4, 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2,)} x",
        "{'descr': '<i4', 'fortran_order': False, "
        "'shape': (99999999999999999999,)}",
        "{'descr': '<i4', 'fortran_order': False, "
        "'shape': (4611686018427387904, 4, 2)}"})
    EXPECT_EQ(parse(file(1, header, kTwoInts)).status().code(),
              StatusCode::DataLoss)
        << header;
}

TEST(NpyTest, ArbitraryBytesNeverCrash) {
  std::mt19937 random(2);
  std::string whole = file(1, kVector, kTwoInts);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 3; ++i)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    (void)parse(bytes);
  }
}

TEST(NpyTest, FilesAreNamedInErrors) {
  auto missing = readNpyFile("/no/such/file.npy");
  EXPECT_EQ(missing.status().code(), StatusCode::NotFound);
  TemporaryFile damaged("nonsense", ".npy");
  auto read = readNpyFile(damaged.path());
  EXPECT_EQ(read.status().code(), StatusCode::DataLoss);
  EXPECT_THAT(read.status().message(), HasSubstr(damaged.path()));
}

} // namespace

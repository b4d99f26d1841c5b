//===- CApiTest.cpp - The C API -------------------------------------------===//

#include "odyssey/runtime/odyssey.h"

#include "ToyDecoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey::runtime::testing;
using ::testing::HasSubstr;

namespace {

class CApiTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_EQ(odyssey_bundle_open(file.path().c_str(), &bundle), ODYSSEY_OK)
        << odyssey_last_error();
    ASSERT_EQ(odyssey_device_open("emulator", &device), ODYSSEY_OK)
        << odyssey_last_error();
  }
  void TearDown() override {
    odyssey_device_release(device);
    odyssey_bundle_release(bundle);
  }

  static int collect(const char *text, size_t length, void *user) {
    auto &self = *static_cast<CApiTest *>(user);
    self.text.append(text, length);
    return --self.piecesLeft != 0;
  }

  TemporaryFile file{toyBundle().build()};
  odyssey_bundle *bundle = nullptr;
  odyssey_device *device = nullptr;
  std::string text;
  int piecesLeft = -1;
};

TEST_F(CApiTest, HasAVersionAndNames) {
  EXPECT_EQ(odyssey_abi_version(), uint32_t(ODYSSEY_ABI_VERSION));
  EXPECT_STREQ(odyssey_status_name(ODYSSEY_OK), "ok");
  EXPECT_STREQ(odyssey_status_name(ODYSSEY_DATA_LOSS), "damaged data");
  EXPECT_STREQ(odyssey_status_name(static_cast<odyssey_status>(77)), "unknown");
  EXPECT_STRNE(odyssey_device_name(device), "");
}

TEST_F(CApiTest, GeneratesText) {
  odyssey_generator *generator = nullptr;
  ASSERT_EQ(odyssey_generator_create(bundle, device, &generator), ODYSSEY_OK)
      << odyssey_last_error();
  odyssey_generate_options options;
  odyssey_generate_options_init(&options);
  options.max_tokens = 8;
  odyssey_generate_result result;
  odyssey_generate_result_init(&result);
  ASSERT_EQ(
      odyssey_generate(generator, "hello", 5, &options, collect, this, &result),
      ODYSSEY_OK)
      << odyssey_last_error();
  EXPECT_EQ(result.stop_reason, ODYSSEY_STOP_MAX_TOKENS);
  EXPECT_EQ(result.prompt_tokens, 6);
  EXPECT_EQ(result.new_tokens, 8);
  EXPECT_GT(result.prefill_seconds, 0);
  EXPECT_FALSE(text.empty());
  std::string first = text;

  // Everything but the generator and its prompt may be left out.
  ASSERT_EQ(odyssey_generator_reset(generator), ODYSSEY_OK);
  ASSERT_EQ(odyssey_generate(generator, "hello", 5, nullptr, nullptr, nullptr,
                             nullptr),
            ODYSSEY_OK)
      << odyssey_last_error();

  // The callback ends it, and the handles' order does not matter.
  odyssey_device_release(device);
  odyssey_bundle_release(bundle);
  device = nullptr;
  bundle = nullptr;
  ASSERT_EQ(odyssey_generator_reset(generator), ODYSSEY_OK);
  text.clear();
  piecesLeft = 3;
  ASSERT_EQ(
      odyssey_generate(generator, "hello", 5, nullptr, collect, this, &result),
      ODYSSEY_OK);
  EXPECT_EQ(result.stop_reason, ODYSSEY_STOP_CANCELLED);
  EXPECT_EQ(text, first.substr(0, text.size()));
  odyssey_generator_release(generator);
}

TEST_F(CApiTest, RunsFunctions) {
  odyssey_executor *executor = nullptr;
  ASSERT_EQ(odyssey_executor_create(bundle, device, &executor), ODYSSEY_OK)
      << odyssey_last_error();
  // The toy's state is zero in the beginning, and so is its next token.
  const int64_t shape[] = {2};
  const int32_t rows[] = {0, 1};
  odyssey_tensor input = {ODYSSEY_I32, 1, shape, rows, sizeof(rows)};
  odyssey_outputs *outputs = nullptr;
  ASSERT_EQ(odyssey_executor_run(executor, "logits", &input, 1, &outputs),
            ODYSSEY_OK)
      << odyssey_last_error();
  ASSERT_EQ(odyssey_outputs_count(outputs), 2u);
  odyssey_tensor next;
  ASSERT_EQ(odyssey_outputs_get(outputs, 1, &next), ODYSSEY_OK);
  EXPECT_EQ(next.type, ODYSSEY_I32);
  ASSERT_EQ(next.rank, 1u);
  EXPECT_EQ(next.shape[0], 2);
  ASSERT_EQ(next.bytes, 8u);
  EXPECT_EQ(static_cast<const int32_t *>(next.data)[1], 0);
  EXPECT_EQ(odyssey_outputs_get(outputs, 2, &next), ODYSSEY_INVALID_ARGUMENT);
  odyssey_outputs_release(outputs);

  input.type = ODYSSEY_F32;
  EXPECT_EQ(odyssey_executor_run(executor, "logits", &input, 1, &outputs),
            ODYSSEY_INVALID_ARGUMENT);
  EXPECT_THAT(odyssey_last_error(), HasSubstr("input 'rows'"));
  EXPECT_EQ(odyssey_executor_run(executor, "none", &input, 1, &outputs),
            ODYSSEY_NOT_FOUND);
  odyssey_executor_release(executor);
}

TEST_F(CApiTest, ErrorsHaveACodeAndAText) {
  odyssey_bundle *none = nullptr;
  EXPECT_EQ(odyssey_bundle_open("/no/such/file", &none), ODYSSEY_NOT_FOUND);
  EXPECT_THAT(odyssey_last_error(), HasSubstr("/no/such/file"));
  EXPECT_EQ(none, nullptr);
  odyssey_device *noDevice = nullptr;
  EXPECT_EQ(odyssey_device_open("abacus", &noDevice), ODYSSEY_INVALID_ARGUMENT);
  EXPECT_THAT(odyssey_last_error(), HasSubstr("unknown device 'abacus'"));

  odyssey_generator *generator = nullptr;
  ASSERT_EQ(odyssey_generator_create(bundle, device, &generator), ODYSSEY_OK);
  EXPECT_EQ(odyssey_generate(generator, "\xff", 1, nullptr, nullptr, nullptr,
                             nullptr),
            ODYSSEY_INVALID_ARGUMENT);
  std::string longPrompt(100, 'a');
  EXPECT_EQ(odyssey_generate(generator, longPrompt.data(), longPrompt.size(),
                             nullptr, nullptr, nullptr, nullptr),
            ODYSSEY_RESOURCE_EXHAUSTED);
  EXPECT_THAT(odyssey_last_error(), HasSubstr("context of 40 tokens"));
  odyssey_generator_release(generator);
}

TEST_F(CApiTest, NullPointersAreErrors) {
  odyssey_generator *generator = nullptr;
  EXPECT_EQ(odyssey_bundle_open(nullptr, &bundle), ODYSSEY_INVALID_ARGUMENT);
  EXPECT_STREQ(odyssey_last_error(), "path is NULL");
  EXPECT_EQ(odyssey_bundle_open("x", nullptr), ODYSSEY_INVALID_ARGUMENT);
  EXPECT_EQ(odyssey_generator_create(nullptr, device, &generator),
            ODYSSEY_INVALID_ARGUMENT);
  EXPECT_EQ(odyssey_generator_reset(nullptr), ODYSSEY_INVALID_ARGUMENT);
  EXPECT_EQ(odyssey_outputs_count(nullptr), 0u);
  odyssey_bundle_release(nullptr);
  odyssey_device_release(nullptr);
  odyssey_generator_release(nullptr);
  odyssey_executor_release(nullptr);
  odyssey_outputs_release(nullptr);
}

TEST_F(CApiTest, StructsCarryTheirSize) {
  odyssey_generator *generator = nullptr;
  ASSERT_EQ(odyssey_generator_create(bundle, device, &generator), ODYSSEY_OK);
  odyssey_generate_options options;
  odyssey_generate_options_init(&options);
  auto generate = [&] {
    return odyssey_generate(generator, "a", 1, &options, nullptr, nullptr,
                            nullptr);
  };
  options.struct_size = 0;
  EXPECT_EQ(generate(), ODYSSEY_INVALID_ARGUMENT);
  options.struct_size = sizeof(options) + 8;
  EXPECT_EQ(generate(), ODYSSEY_INVALID_ARGUMENT);
  // An older program that knows only of max_tokens.
  options.struct_size = offsetof(odyssey_generate_options, temperature);
  options.max_tokens = 1;
  options.top_p = 77;
  EXPECT_EQ(generate(), ODYSSEY_OK) << odyssey_last_error();
  odyssey_generator_release(generator);
}

} // namespace

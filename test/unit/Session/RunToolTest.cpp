//===- RunToolTest.cpp - The program odyssey-run --------------------------===//
//
// Runs the program itself: its exit codes, what it prints where, and its files.
//
//===----------------------------------------------------------------------===//

#include "ToyDecoder.h"
#include "odyssey/runtime/Npy.h"
#include "odyssey/runtime/Tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/wait.h>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
namespace fs = std::filesystem;

namespace {

struct Outcome {
  int exitCode;
  std::string output, error;
};

std::string slurp(const fs::path &path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class RunToolTest : public ::testing::Test {
protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "odyssey-run-XXXXXX";
    folder = mkdtemp(name.data());
  }
  void TearDown() override { fs::remove_all(folder); }

  /// Runs odyssey-run with arguments as a shell takes them.
  Outcome run(const std::string &arguments, const std::string &input = "",
              const std::string &output = "out") {
    std::ofstream(folder / "in") << input;
    std::string command = "cd '" + folder.string() + "' && " + ODYSSEY_RUN +
                          " " + arguments + " <in >" + output + " 2>err";
    int status = system(command.c_str());
    return {WEXITSTATUS(status), slurp(folder / "out"), slurp(folder / "err")};
  }
  Outcome runToy(const std::string &arguments, const std::string &input = "",
                 const std::string &output = "out") {
    return run("'" + toy.path() + "' --device=emulator " + arguments, input,
               output);
  }
  std::string write(const char *name, const HostTensor &tensor) {
    std::ofstream(folder / name, std::ios::binary) << formatNpy(tensor);
    return name;
  }

  /// What the toy says after a prompt.
  std::string answer(const std::string &prompt, size_t count) {
    std::string json = toyTokenizer();
    auto tokenizer =
        Tokenizer::load("tokenizer.json", std::as_bytes(std::span(json)));
    std::vector<int32_t> tokens =
        *(*tokenizer)->encode(prompt, {.addBos = false});
    tokens.insert(tokens.begin(), 1);
    size_t promptTokens = tokens.size();
    while (tokens.size() < promptTokens + count)
      tokens.push_back(toyNextToken(tokens));
    return (*tokenizer)
        ->decode(std::span(tokens).subspan(promptTokens),
                 {.continuation = true});
  }

  fs::path folder;
  TemporaryFile toy{toyBundle().build()};
};

TEST_F(RunToolTest, PrintsPromptAndText) {
  Outcome outcome = runToy("--prompt hello --max-tokens 6");
  EXPECT_EQ(outcome.exitCode, 0) << outcome.error;
  EXPECT_EQ(outcome.output, "hello" + answer("hello", 6) + "\n");
  EXPECT_THAT(outcome.error, IsEmpty());
}

TEST_F(RunToolTest, QuietPrintsTheNewTextAlone) {
  Outcome outcome = runToy("--prompt hello --max-tokens 6 --quiet");
  EXPECT_EQ(outcome.output, answer("hello", 6) + "\n");
}

TEST_F(RunToolTest, ReadsThePromptFromAFile) {
  std::ofstream(folder / "prompt.txt") << "hello";
  Outcome outcome = runToy("--prompt-file prompt.txt --max-tokens 6");
  EXPECT_EQ(outcome.exitCode, 0) << outcome.error;
  EXPECT_EQ(outcome.output, "hello" + answer("hello", 6) + "\n");
  EXPECT_EQ(runToy("--prompt-file missing.txt").exitCode, 1);
}

TEST_F(RunToolTest, SaysThatTheContextIsFull) {
  Outcome outcome = runToy("--prompt hello");
  EXPECT_EQ(outcome.exitCode, 0);
  EXPECT_THAT(outcome.error, HasSubstr("the context of 40 tokens is full"));
}

TEST_F(RunToolTest, PrintsStatistics) {
  Outcome outcome =
      runToy("--prompt hello --max-tokens 6 --stats --emulator-check");
  EXPECT_EQ(outcome.exitCode, 0) << outcome.error;
  for (const char *line :
       {"device", "first token", "modules", "weights", "prefill", "decode",
        "tokens/s", "attention", "lm_head", "embedding"})
    EXPECT_THAT(outcome.error, HasSubstr(line));
}

TEST_F(RunToolTest, ContinuesATextInteractively) {
  Outcome outcome =
      runToy("--interactive --max-tokens 3", "hello\n\n/reset\nyou\n");
  EXPECT_EQ(outcome.exitCode, 0) << outcome.error;
  EXPECT_EQ(outcome.output,
            answer("hello", 3) + "\n" + answer("you", 3) + "\n");
  // A line that is too long is refused, and the next one is not.
  outcome = runToy("--interactive --max-tokens 3",
                   std::string(50, 'a') + "\nhello\n");
  EXPECT_EQ(outcome.exitCode, 0);
  EXPECT_THAT(outcome.error, HasSubstr("context of 40 tokens"));
  EXPECT_EQ(outcome.output, answer("hello", 3) + "\n");
}

TEST_F(RunToolTest, ContinuesEveryLineOfABatch) {
  // Five texts, three at a time; the last line has no end.
  std::vector<std::string> prompts = {"hello", "a", "once upon a time", "you",
                                      "be"};
  std::string file, expected, quiet;
  for (size_t i = 0; i < prompts.size(); ++i) {
    file += prompts[i] + (i + 1 < prompts.size() ? "\n" : "");
    std::string head = "==> " + std::to_string(i + 1) + " <==\n";
    std::string text = answer(prompts[i], 6) + "\n";
    expected += head + prompts[i] + text;
    quiet += head + text;
  }
  std::ofstream(folder / "prompts.txt") << file;
  Outcome outcome =
      runToy("--batch prompts.txt --max-tokens 6 --temperature 0");
  EXPECT_EQ(outcome.exitCode, 0) << outcome.error;
  EXPECT_EQ(outcome.output, expected);
  EXPECT_THAT(outcome.error, IsEmpty());
  outcome = runToy(
      "--batch prompts.txt --max-tokens 6 --temperature 0 --quiet --stats");
  EXPECT_EQ(outcome.output, quiet);
  for (const char *line :
       {"prompts                5", "at a time              3",
        "new tokens            30 tokens"})
    EXPECT_THAT(outcome.error, HasSubstr(line));
}

TEST_F(RunToolTest, NamesWhatIsWrongWithABatch) {
  auto error = [&](const std::string &content) {
    std::ofstream(folder / "prompts.txt") << content;
    Outcome outcome = runToy("--batch prompts.txt --max-tokens 3");
    EXPECT_EQ(outcome.exitCode, 1);
    EXPECT_THAT(outcome.output, IsEmpty());
    return outcome.error;
  };
  EXPECT_THAT(error(""), HasSubstr("'prompts.txt' has no line"));
  EXPECT_THAT(
      error("a\n" + std::string(50, 'a') + "\n"),
      HasSubstr("prompt 2: a text of 51 tokens with 3 new ones is longer "
                "than the context of 40 tokens"));
  EXPECT_THAT(error("a\nb\n\377\n"), HasSubstr("prompt 3: "));
  EXPECT_THAT(runToy("--batch missing.txt").error,
              HasSubstr("cannot read 'missing.txt': No such file"));
  Outcome full = runToy("--batch prompts.txt", "", "/dev/full");
  EXPECT_EQ(full.exitCode, 1);
}

TEST_F(RunToolTest, WrongUsageExitsWithTwo) {
  for (const char *arguments :
       {"", "--prompt a", "x.odyssey", "x.odyssey --prompt a --interactive",
        "x.odyssey --prompt a --function f", "x.odyssey --prompt a --batch b",
        "x.odyssey --prompt a --input x=@x", "x.odyssey --function f --input x",
        "x.odyssey --function f --input =@x",
        "x.odyssey --prompt a --max-tokens 0",
        "x.odyssey --prompt a --temperature -1",
        "x.odyssey --prompt a --top-p 2", "x.odyssey --prompt a --no-such",
        "x.odyssey --prompt a --device abacus"}) {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exitCode, 2) << arguments;
    EXPECT_FALSE(outcome.error.empty()) << arguments;
    EXPECT_THAT(outcome.output, IsEmpty());
  }
  EXPECT_EQ(run("--help").exitCode, 0);
}

TEST_F(RunToolTest, BadInputExitsWithOne) {
  auto error = [](const Outcome &outcome) {
    EXPECT_EQ(outcome.exitCode, 1);
    EXPECT_THAT(outcome.error, StartsWith("odyssey-run: error: "));
    return outcome.error;
  };
  EXPECT_THAT(error(run("missing.odyssey --prompt a")),
              HasSubstr("cannot open 'missing.odyssey'"));
  std::ofstream(folder / "bad.odyssey") << "not a bundle at all, whatever";
  EXPECT_THAT(error(run("bad.odyssey --prompt a")),
              HasSubstr("not an Odyssey bundle"));
  EXPECT_THAT(error(runToy("--prompt \"$(printf 'ab\\377')\"")),
              HasSubstr("UTF-8"));
  EXPECT_THAT(error(runToy("--prompt hello --max-tokens 100")),
              HasSubstr("context of 40 tokens"));
  EXPECT_THAT(error(runToy("--function none")),
              HasSubstr("has no function 'none', only 'forward', 'logits'"));
  EXPECT_THAT(error(runToy("--prompt hello", "", "/dev/full")),
              HasSubstr("cannot write to standard output: No space left"));
}

TEST_F(RunToolTest, ListsDevices) {
  Outcome outcome = run("--list-devices");
  EXPECT_EQ(outcome.exitCode, 0);
  EXPECT_THAT(outcome.output, HasSubstr("emulator"));
  EXPECT_THAT(outcome.output, HasSubstr("cuda"));
}

TEST_F(RunToolTest, RunsAFunctionOnFiles) {
  write("rows.npy", makeTensor<int32_t>(ElementType::I32, {3}, {0, 1, 2}));
  Outcome outcome = runToy("--function logits --input rows=@rows.npy "
                           "--output next_token=@next.npy "
                           "--output logits=@logits.npy");
  EXPECT_EQ(outcome.exitCode, 0) << outcome.error;
  EXPECT_EQ(outcome.output, "logits: f32 [3, 64]\nnext_token: i32 [3]\n");
  auto next = readNpyFile(folder / "next.npy");
  ASSERT_TRUE(next.ok()) << next.status().message();
  EXPECT_EQ(valuesOf<int32_t>(*next), (std::vector<int32_t>{0, 0, 0}));
  auto logits = readNpyFile(folder / "logits.npy");
  ASSERT_TRUE(logits.ok());
  EXPECT_EQ(logits->shape, (std::vector<int64_t>{3, 64}));
  EXPECT_EQ(valuesOf<float>(*logits)[66], -2.0f);
}

TEST_F(RunToolTest, NamesWhatIsWrongWithAFunctionsFiles) {
  write("rows.npy", makeTensor<int32_t>(ElementType::I32, {3}, {0, 1, 2}));
  write("wrong.npy", makeTensor<float>(ElementType::F32, {3}, {0, 1, 2}));
  auto error = [&](const std::string &arguments) {
    Outcome outcome = runToy("--function logits " + arguments);
    EXPECT_EQ(outcome.exitCode, 1) << arguments;
    EXPECT_FALSE(fs::exists(folder / "out.npy"));
    return outcome.error;
  };
  EXPECT_THAT(error("--output logits=@out.npy"),
              HasSubstr("input 'rows' (i32 [tokens]) is missing"));
  EXPECT_THAT(error("--input rows=@wrong.npy --output logits=@out.npy"),
              HasSubstr("is i32 [tokens], got f32 [3]"));
  EXPECT_THAT(error("--input rows=@rows.npy --input rows=@rows.npy"),
              HasSubstr("given twice"));
  EXPECT_THAT(error("--input row=@rows.npy"),
              HasSubstr("has no input 'row', only 'rows'"));
  EXPECT_THAT(error("--input rows=@rows.npy --output y=@out.npy"),
              HasSubstr("has no output 'y', only 'logits', 'next_token'"));
  EXPECT_THAT(error("--input rows=@missing.npy"), HasSubstr("missing.npy"));
  EXPECT_THAT(error("--input rows=@rows.npy --output logits=@no/out.npy"),
              HasSubstr("cannot write 'no/out.npy'"));
}

} // namespace

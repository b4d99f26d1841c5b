/*===- odyssey.h - The C API ------------------------------------*- C -*-===*\
 *
 * Runs bundles from C, or from any language that can call C.
 *
 *   Errors    Functions that can fail return an odyssey_status. The text of the
 *             last error of a thread is what odyssey_last_error() returns.
 *   Results   come back through the parameters whose names begin with "out_".
 *             They are written on success only.
 *   Handles   are made by ..._open and ..._create, and belong to the caller,
 *             who ends them with ..._release. A handle keeps alive what it was
 *             made from, so that the order of the releases does not matter.
 *             Releasing NULL does nothing.
 *   Strings   are zero-terminated UTF-8 unless a length stands beside them.
 *             Those that a function returns belong to the library.
 *   Threads   A bundle may be used by several threads at once; a device, and
 *             all that was made with it, by one at a time.
 *   Versions  Structs begin with their size, set by their ..._init function, so
 *             that a program keeps running with a newer library.
 *
\*===----------------------------------------------------------------------===*/

#ifndef ODYSSEY_RUNTIME_ODYSSEY_H
#define ODYSSEY_RUNTIME_ODYSSEY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ODYSSEY_API __attribute__((visibility("default")))

/* Raised on every change that breaks a compiled program. */
#define ODYSSEY_ABI_VERSION 1

/* The ABI version of the library that is linked; a program compiled against
 * this header needs ODYSSEY_ABI_VERSION. */
ODYSSEY_API uint32_t odyssey_abi_version(void);

/*===----------------------------------------------------------------------===*\
|* Errors                                                                     *|
\*===----------------------------------------------------------------------===*/

typedef enum odyssey_status {
  ODYSSEY_OK = 0,
  /* The caller passed something that can never work. */
  ODYSSEY_INVALID_ARGUMENT = 1,
  /* A file, function, kernel or device does not exist. */
  ODYSSEY_NOT_FOUND = 2,
  /* A file's content contradicts itself or its checksum. */
  ODYSSEY_DATA_LOSS = 3,
  /* The input is well formed but uses something that is not implemented. */
  ODYSSEY_UNSUPPORTED = 4,
  /* Memory, context length or another bounded resource ran out. */
  ODYSSEY_RESOURCE_EXHAUSTED = 5,
  /* The call is right, but not in this state (a bundle for another target). */
  ODYSSEY_FAILED_PRECONDITION = 6,
  /* The device reported a fault while it ran. */
  ODYSSEY_DEVICE_FAULT = 7,
  /* An operating system call failed. */
  ODYSSEY_IO_ERROR = 8,
  /* A bug in the runtime itself. */
  ODYSSEY_INTERNAL = 9
} odyssey_status;

/* The name of a status, for example "not found". Never NULL. */
ODYSSEY_API const char *odyssey_status_name(odyssey_status status);

/* What went wrong in the last call of this thread that failed; "" before any
 * has. Never NULL; stays until the thread's next call that fails. */
ODYSSEY_API const char *odyssey_last_error(void);

/*===----------------------------------------------------------------------===*\
|* Bundles and devices                                                        *|
\*===----------------------------------------------------------------------===*/

typedef struct odyssey_bundle odyssey_bundle;
typedef struct odyssey_device odyssey_device;

/* Opens and checks the file that odyssey-compile wrote. The file must stay
 * unchanged until the bundle, and all that was made from it, are released. */
ODYSSEY_API odyssey_status odyssey_bundle_open(const char *path,
                                               odyssey_bundle **out_bundle);
ODYSSEY_API void odyssey_bundle_release(odyssey_bundle *bundle);

/* Opens a device: "auto" (a GPU, or else the emulator), "cuda", "cuda:N" or
 * "emulator". ODYSSEY_NOT_FOUND when it is not there. */
ODYSSEY_API odyssey_status odyssey_device_open(const char *name,
                                               odyssey_device **out_device);
ODYSSEY_API void odyssey_device_release(odyssey_device *device);

/* The device's name for people, for example "NVIDIA H200". Lives as long as
 * the device. */
ODYSSEY_API const char *odyssey_device_name(const odyssey_device *device);

/*===----------------------------------------------------------------------===*\
|* Generating text                                                            *|
\*===----------------------------------------------------------------------===*/

/* A decoder with its text so far. */
typedef struct odyssey_generator odyssey_generator;

/* Loads the bundle's decoder on the device. ODYSSEY_FAILED_PRECONDITION when
 * the bundle holds none or was compiled for another device. */
ODYSSEY_API odyssey_status
odyssey_generator_create(odyssey_bundle *bundle, odyssey_device *device,
                         odyssey_generator **out_generator);
ODYSSEY_API void odyssey_generator_release(odyssey_generator *generator);

/* Forgets the text so far. */
ODYSSEY_API odyssey_status
odyssey_generator_reset(odyssey_generator *generator);

typedef struct odyssey_generate_options {
  size_t struct_size;
  /* At most so many new tokens; 0 until the text ends or the context is full,
   * which is the default. */
  int64_t max_tokens;
  /* 0, the default, takes the most probable token. */
  float temperature;
  /* How many of the best tokens may be chosen; 0, the default, for all. */
  int32_t top_k;
  /* The share of the probability, in (0, 1]; 1, the default, for all. */
  float top_p;
  /* For the random choice of tokens; 0 by default. */
  uint64_t seed;
} odyssey_generate_options;

/* Sets all options to their defaults. */
ODYSSEY_API void
odyssey_generate_options_init(odyssey_generate_options *options);

typedef enum odyssey_stop_reason {
  /* The model ended the text. */
  ODYSSEY_STOP_END_OF_TEXT = 0,
  ODYSSEY_STOP_MAX_TOKENS = 1,
  /* The text is as long as the bundle was compiled for. */
  ODYSSEY_STOP_CONTEXT_FULL = 2,
  /* The callback returned 0. */
  ODYSSEY_STOP_CANCELLED = 3
} odyssey_stop_reason;

typedef struct odyssey_generate_result {
  size_t struct_size;
  odyssey_stop_reason stop_reason;
  int64_t prompt_tokens;
  int64_t new_tokens;
  /* Up to the first new token. */
  double prefill_seconds;
  /* For all others. */
  double decode_seconds;
} odyssey_generate_result;

/* Makes a result ready to be passed to odyssey_generate. */
ODYSSEY_API void odyssey_generate_result_init(odyssey_generate_result *result);

/* Receives text as it is made: `length` bytes of valid UTF-8, not
 * zero-terminated, that live until it returns. Returns 0 to end the
 * generation, anything else to go on. Must not call the generator. */
typedef int (*odyssey_text_callback)(const char *text, size_t length,
                                     void *user_data);

/* Appends `prompt` (`prompt_bytes` bytes) to the text so far and continues it.
 * `options` may be NULL for the defaults, `callback` when no text is wanted,
 * and `out_result` when nobody asks. `user_data` is passed to the callback. */
ODYSSEY_API odyssey_status odyssey_generate(
    odyssey_generator *generator, const char *prompt, size_t prompt_bytes,
    const odyssey_generate_options *options, odyssey_text_callback callback,
    void *user_data, odyssey_generate_result *out_result);

/*===----------------------------------------------------------------------===*\
|* Running any function of a bundle                                           *|
\*===----------------------------------------------------------------------===*/

typedef enum odyssey_type {
  ODYSSEY_I8 = 0,
  ODYSSEY_U8 = 1,
  ODYSSEY_I32 = 2,
  ODYSSEY_F16 = 3,
  ODYSSEY_BF16 = 4,
  ODYSSEY_F32 = 5
} odyssey_type;

/* A dense, row-major tensor in host memory. */
typedef struct odyssey_tensor {
  odyssey_type type;
  size_t rank;
  /* `rank` sizes. */
  const int64_t *shape;
  const void *data;
  size_t bytes;
} odyssey_tensor;

/* A bundle's functions on a device, with the states that they share. */
typedef struct odyssey_executor odyssey_executor;
/* What a function returned. */
typedef struct odyssey_outputs odyssey_outputs;

ODYSSEY_API odyssey_status
odyssey_executor_create(odyssey_bundle *bundle, odyssey_device *device,
                        odyssey_executor **out_executor);
ODYSSEY_API void odyssey_executor_release(odyssey_executor *executor);

/* Runs the function on `inputs`, in the order in which the bundle lists them.
 * The tensors and their data are copied. */
ODYSSEY_API odyssey_status odyssey_executor_run(odyssey_executor *executor,
                                                const char *function,
                                                const odyssey_tensor *inputs,
                                                size_t input_count,
                                                odyssey_outputs **out_outputs);

ODYSSEY_API size_t odyssey_outputs_count(const odyssey_outputs *outputs);
/* The output at `index`; its shape and data live as long as `outputs`. */
ODYSSEY_API odyssey_status odyssey_outputs_get(const odyssey_outputs *outputs,
                                               size_t index,
                                               odyssey_tensor *out_tensor);
ODYSSEY_API void odyssey_outputs_release(odyssey_outputs *outputs);

#ifdef __cplusplus
}
#endif

#endif /* ODYSSEY_RUNTIME_ODYSSEY_H */

/*===- run_text.c - Generating text through the C API
----------------------===*\
 *
 *   run_text model.odyssey "Once upon a time"
 *
\*===----------------------------------------------------------------------===*/

#include "odyssey/runtime/odyssey.h"

#include <stdio.h>
#include <string.h>

static int print_text(const char *text, size_t length, void *user_data) {
  (void)user_data;
  fwrite(text, 1, length, stdout);
  fflush(stdout);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: run_text BUNDLE PROMPT\n");
    return 2;
  }
  odyssey_bundle *bundle = NULL;
  odyssey_device *device = NULL;
  odyssey_generator *generator = NULL;
  odyssey_generate_options options;
  odyssey_generate_options_init(&options);
  options.temperature = 0.8f;
  options.top_p = 0.95f;
  odyssey_generate_result result;
  odyssey_generate_result_init(&result);

  odyssey_status status = odyssey_bundle_open(argv[1], &bundle);
  if (status == ODYSSEY_OK)
    status = odyssey_device_open("auto", &device);
  if (status == ODYSSEY_OK)
    status = odyssey_generator_create(bundle, device, &generator);
  if (status == ODYSSEY_OK)
    status = odyssey_generate(generator, argv[2], strlen(argv[2]), &options,
                              print_text, NULL, &result);
  if (status == ODYSSEY_OK)
    printf("\n(%lld tokens on %s)\n", (long long)result.new_tokens,
           odyssey_device_name(device));
  else
    fprintf(stderr, "run_text: %s: %s\n", odyssey_status_name(status),
            odyssey_last_error());

  odyssey_generator_release(generator);
  odyssey_device_release(device);
  odyssey_bundle_release(bundle);
  return status == ODYSSEY_OK ? 0 : 1;
}

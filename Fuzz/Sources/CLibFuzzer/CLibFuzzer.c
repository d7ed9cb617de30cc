#include "CLibFuzzer.h"

// libFuzzer's own main function wants it at link time; the program's main runs instead, with its callback.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)data;
    (void)size;
    return 0;
}

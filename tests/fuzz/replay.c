/* Runs a fuzzer's kept inputs through it, for compilers without libFuzzer: replay FILE… */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct buf input = {0};
        FILE *f = fopen(argv[i], "rb");
        size_t got;
        if (!f) {
            perror(argv[i]);
            return 1;
        }
        while ((got = fread(buf_reserve(&input, 1 << 16), 1, 1 << 16, f)) > 0)
            input.len += got;
        fclose(f);
        LLVMFuzzerTestOneInput(input.data, input.len);
        buf_free(&input);
    }
    return 0;
}

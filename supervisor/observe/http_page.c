/* http_page.html, as it is, in the program: the assembler includes it. */
#include "supervisor/observe/http.h"

__asm__(".pushsection .rodata\n"
        ".globl http_page\n"
        ".hidden http_page\n"
        ".type http_page, %object\n"
        "http_page:\n"
        ".incbin \"supervisor/observe/http_page.html\"\n"
        ".byte 0\n"
        ".size http_page, . - http_page\n"
        ".popsection\n");

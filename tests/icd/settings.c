/* How settings are written, and what happens to one that is wrong. */
#include "icd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void refuse_setting(const char *setting, const char *reason)
{
    fprintf(stderr, "vkmapctl's test driver: %s: %s\n", setting, reason);
    abort();
}

uint64_t parse_number(const char *text)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 0);
    if (end == text || *end || errno)
        refuse_setting(text, "not a whole number");
    return number;
}

size_t unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        unsigned byte;
        int length;
        if (*from != '\\') {
            *to = *from++;
        } else if (sscanf(from, "\\x%2x%n", &byte, &length) == 1 && length == 4) {
            *to = (char)byte;
            from += length;
        } else {
            refuse_setting(text, "an escape is written \\xNN");
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

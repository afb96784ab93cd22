/* Touching mapped memory as programs do: by loads and stores of one width, in one order. */
#ifndef VKM_ACCESS_H
#define VKM_ACCESS_H

#include <stdint.h>

/* A width is a number of bytes from 1 to 64, or one of these. */
enum vkm_width {
    VKM_AUTO = 0,     /* the verifiable pattern, by the widest vectors: no business of access.c */
    VKM_MEMCPY = 256, /* the C library's memcpy from or to a small buffer of the process */
    VKM_STREAM = 257  /* non-temporal loads and stores, the widest there are */
};

enum vkm_access {
    VKM_SEQUENTIAL,
    VKM_STRIDED, /* one access at the start of each VKM_STRIDE bytes */
    VKM_RANDOM   /* as many as the range has places, at most VKM_RANDOM_ACCESSES, at pseudo-random ones */
};

enum { VKM_STRIDE = 256, VKM_RANDOM_ACCESSES = 65536 };

/* Bytes of one access of this width, 0 where this CPU has none. */
uint32_t vkm_access_bytes(uint32_t width);
/* Loads the range, or stores `value` in it, by accesses at multiples of their width; bytes before the first and beyond
 * the last multiple are accessed singly, unless the order is random. Returns the bytes accessed. key: where a random
 * order begins. */
uint64_t vkm_access_load(unsigned char *bytes, uint64_t size, uint32_t width, uint32_t access, uint64_t key);
uint64_t vkm_access_store(unsigned char *bytes, uint64_t size, uint32_t width, uint32_t access, uint64_t key,
                          unsigned char value);

#endif

#include "pattern.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define VKM_PATTERN_STEP 0x9e3779b97f4a7c15u
#define BLOCK_WORDS 4096

/* The wheel is built for the oldest CPU of its architecture; these loops exist once more for what came later. */
#if defined(__SSE2__) && defined(__gnu_linux__) && defined(__has_attribute)
/* ThreadSanitizer is not set up yet when the choice between clones is made. */
#if __has_attribute(target_clones) && !defined(__SANITIZE_THREAD__)
#define WIDE_VECTORS __attribute__((target_clones("default", "avx2")))
#endif
#endif
#ifndef WIDE_VECTORS
#define WIDE_VECTORS
#endif

uint64_t vkm_pattern_key(uint64_t seed, uint64_t object, uint64_t round)
{
    uint64_t x = seed + object * 0xd1342543de82ef95u + round * VKM_PATTERN_STEP;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u; /* splitmix64 (Steele, Lea, Flood 2014) */
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t word_at(uint64_t offset, uint64_t key)
{
    return key + offset / 8 * VKM_PATTERN_STEP;
}

unsigned char vkm_pattern_byte(uint64_t offset, uint64_t key)
{
    uint64_t value = word_at(offset, key);
    unsigned char bytes[8];
    memcpy(bytes, &value, 8);
    return bytes[offset % 8];
}

/* Bytes of [offset, offset+size) before its first whole word. */
static uint64_t head_bytes(uint64_t offset, uint64_t size)
{
    uint64_t head = (8 - offset % 8) % 8;
    return head < size ? head : size;
}

/* Words side by side: four vectors of four, which the compiler keeps in registers with AVX2, SSE2 and NEON alike. */
typedef uint64_t vector __attribute__((vector_size(32)));
enum { LANES = 4, VECTORS = 4, BLOCK = LANES * VECTORS };

static inline __attribute__((always_inline)) void first_words(vector *words, uint64_t value)
{
    const vector lanes = {0, 1, 2, 3};
    for (uint64_t v = 0; v < VECTORS; v++)
        words[v] = value + (v * LANES + lanes) * VKM_PATTERN_STEP;
}

WIDE_VECTORS static void write_words(unsigned char *bytes, uint64_t words, uint64_t value)
{
    const uint64_t blocks = words / BLOCK;
    vector next[VECTORS];
    first_words(next, value);
    for (uint64_t i = 0; i < blocks; i++) {
        for (uint64_t v = 0; v < VECTORS; v++) {
            const vector now = next[v];
            memcpy(bytes + i * sizeof next + v * sizeof now, &now, sizeof now);
            next[v] = now + BLOCK * VKM_PATTERN_STEP;
        }
    }
    for (uint64_t i = blocks * BLOCK; i < words; i++) {
        uint64_t word = value + i * VKM_PATTERN_STEP;
        memcpy(bytes + 8 * i, &word, 8);
    }
}

/* bytes must be a multiple of 8. */
static void stream_words(unsigned char *bytes, uint64_t words, uint64_t value)
{
#if defined(__SSE2__)
    for (; words && ((uintptr_t)bytes & 15); words--, bytes += 8, value += VKM_PATTERN_STEP)
        memcpy(bytes, &value, 8);
    __m128i pair = _mm_set_epi64x((long long)(value + VKM_PATTERN_STEP), (long long)value);
    const __m128i step = _mm_set1_epi64x((long long)(2 * VKM_PATTERN_STEP));
    uint64_t pairs = words / 2;
    for (uint64_t i = 0; i < pairs; i++) {
        _mm_stream_si128((__m128i *)(bytes + 16 * i), pair);
        pair = _mm_add_epi64(pair, step);
    }
    _mm_sfence();
    write_words(bytes + 16 * pairs, words - 2 * pairs, value + 2 * pairs * VKM_PATTERN_STEP);
#else
    write_words(bytes, words, value);
#endif
}

void vkm_pattern_write(unsigned char *bytes, uint64_t offset, uint64_t size, uint64_t key, uint32_t way)
{
    uint64_t head = head_bytes(offset, size), words = (size - head) / 8, body = head + 8 * words;
    for (uint64_t i = 0; i < head; i++)
        bytes[i] = vkm_pattern_byte(offset + i, key);
    if (way == VKM_NON_TEMPORAL_STORES && ((uintptr_t)(bytes + head) & 7) == 0)
        stream_words(bytes + head, words, word_at(offset + head, key));
    else
        write_words(bytes + head, words, word_at(offset + head, key));
    for (uint64_t i = body; i < size; i++)
        bytes[i] = vkm_pattern_byte(offset + i, key);
}

WIDE_VECTORS static uint64_t words_differ(const unsigned char *bytes, uint64_t words, uint64_t value)
{
    const uint64_t blocks = words / BLOCK;
    uint64_t difference = 0;
    vector wanted[VECTORS], differ[VECTORS] = {{0}};
    first_words(wanted, value);
    for (uint64_t i = 0; i < blocks; i++) {
        for (uint64_t v = 0; v < VECTORS; v++) {
            vector found;
            memcpy(&found, bytes + i * sizeof wanted + v * sizeof found, sizeof found);
            differ[v] |= found ^ wanted[v];
            wanted[v] += BLOCK * VKM_PATTERN_STEP;
        }
    }
    for (uint64_t i = 0; i < LANES; i++)
        difference |= differ[0][i] | differ[1][i] | differ[2][i] | differ[3][i];
    for (uint64_t i = blocks * BLOCK; i < words; i++) {
        uint64_t word;
        memcpy(&word, bytes + 8 * i, 8);
        difference |= word ^ (value + i * VKM_PATTERN_STEP);
    }
    return difference;
}

static uint64_t count_mismatches(const unsigned char *bytes, uint64_t offset, uint64_t size, uint64_t key,
                                 uint64_t *first)
{
    uint64_t mismatches = 0;
    for (uint64_t i = 0; i < size; i++)
        if (bytes[i] != vkm_pattern_byte(offset + i, key) && !mismatches++)
            *first = offset + i;
    return mismatches;
}

uint64_t vkm_pattern_mismatches(const unsigned char *bytes, uint64_t offset, uint64_t size, uint64_t key,
                                uint64_t *first)
{
    uint64_t mismatches = 0, done = head_bytes(offset, size), at = 0;
    mismatches += count_mismatches(bytes, offset, done, key, first);
    while (done < size) {
        uint64_t words = (size - done) / 8;
        words = words < BLOCK_WORDS ? words : BLOCK_WORDS;
        uint64_t length = words ? 8 * words : size - done;
        if (!words || words_differ(bytes + done, words, word_at(offset + done, key))) {
            uint64_t found = count_mismatches(bytes + done, offset + done, length, key, &at);
            if (found && !mismatches)
                *first = at;
            mismatches += found;
        }
        done += length;
    }
    return mismatches;
}

WIDE_VECTORS uint64_t vkm_read_range(const unsigned char *bytes, uint64_t size)
{
    const uint64_t blocks = size / (8 * BLOCK);
    uint64_t sum = 0;
    vector sums[VECTORS] = {{0}};
    for (uint64_t i = 0; i < blocks; i++) {
        for (uint64_t v = 0; v < VECTORS; v++) {
            vector found;
            memcpy(&found, bytes + i * sizeof sums + v * sizeof found, sizeof found);
            sums[v] ^= found;
        }
    }
    for (uint64_t i = 0; i < LANES; i++)
        sum ^= sums[0][i] ^ sums[1][i] ^ sums[2][i] ^ sums[3][i];
    for (uint64_t i = 8 * BLOCK * blocks; i < size; i++)
        sum ^= bytes[i];
    return sum;
}

/* The verify pattern: a function of the byte's place in the allocation and of a key.
 *
 * 64-bit word w of an allocation holds key + w * VKM_PATTERN_STEP, so a shifted window, a stale round,
 * another object's bytes and a flipped bit all differ. Ranges may begin and end at any byte.
 */
#ifndef VKM_PATTERN_H
#define VKM_PATTERN_H

#include <stdint.h>

uint64_t vkm_pattern_key(uint64_t seed, uint64_t object, uint64_t round);
/* How the pattern is stored; a CPU without non-temporal stores has one way. */
enum vkm_write_way { VKM_VECTOR_STORES = 1, VKM_NON_TEMPORAL_STORES = 2 };
/* bytes stands at `offset` of the allocation. */
void vkm_pattern_write(unsigned char *bytes, uint64_t offset, uint64_t size, uint64_t key, uint32_t way);
/* Number of bytes that differ; *first is the offset in the allocation of the first of them. */
uint64_t vkm_pattern_mismatches(const unsigned char *bytes, uint64_t offset, uint64_t size, uint64_t key,
                                uint64_t *first);
unsigned char vkm_pattern_byte(uint64_t offset, uint64_t key);
/* Loads every byte; the result only keeps the loads alive. */
uint64_t vkm_read_range(const unsigned char *bytes, uint64_t size);

#endif

#define _GNU_SOURCE
#include "clock.h"
#include "loop.h"
#include "pattern.h"

#define LEAST_BYTES (256u << 10) /* less stays in the caches, where ordinary stores are best everywhere */
#define LONG_NS 50000000         /* a write that takes so long is tried once */
enum { TURNS = 3 };

#if defined(__SSE2__)

static uint64_t written_in(const struct vkm_clock *clock, unsigned char *bytes, uint64_t offset, uint64_t size,
                           uint64_t key, uint32_t way)
{
    uint64_t begin = vkm_ticks(clock);
    vkm_pattern_write(bytes, offset, size, key, way);
    return vkm_ticks_to_ns(clock, vkm_ticks(clock) - begin);
}

/* Each way in turns, the best of each: what comes between makes a turn slower, never faster. */
static uint32_t faster_way(const struct vkm_clock *clock, unsigned char *bytes, uint64_t offset, uint64_t size,
                           uint64_t key)
{
    uint64_t best[VKM_NON_TEMPORAL_STORES + 1] = {0};
    written_in(clock, bytes, offset, size, key, VKM_VECTOR_STORES); /* what the first touch of a page costs */
    for (int turn = 0; turn < TURNS; turn++) {
        for (uint32_t way = VKM_VECTOR_STORES; way <= VKM_NON_TEMPORAL_STORES; way++) {
            uint64_t ns = written_in(clock, bytes, offset, size, key, way);
            best[way] = turn && best[way] < ns ? best[way] : ns;
        }
        if (best[VKM_VECTOR_STORES] > LONG_NS)
            break;
    }
    return best[VKM_NON_TEMPORAL_STORES] < best[VKM_VECTOR_STORES] ? VKM_NON_TEMPORAL_STORES : VKM_VECTOR_STORES;
}

uint32_t vkm_write_way(struct vkm_program *program, const struct vkm_clock *clock, unsigned char *bytes,
                       uint64_t offset, uint64_t size, uint64_t key)
{
    if (size < LEAST_BYTES)
        return VKM_VECTOR_STORES;
    uint32_t *known = &program->write_ways[63 - __builtin_clzll(size)];
    if (!*known)
        *known = faster_way(clock, bytes, offset, size, key);
    return *known;
}

#else

uint32_t vkm_write_way(struct vkm_program *program, const struct vkm_clock *clock, unsigned char *bytes,
                       uint64_t offset, uint64_t size, uint64_t key)
{
    (void)program, (void)clock, (void)bytes, (void)offset, (void)size, (void)key;
    return VKM_VECTOR_STORES;
}

#endif

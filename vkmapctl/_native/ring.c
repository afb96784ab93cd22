#define _GNU_SOURCE
#include "ring.h"

#include "clock.h"

static struct vkm_event *event_at(const struct vkm_ring *ring, uint64_t index)
{
    return (struct vkm_event *)((char *)ring + VKM_RING_HEAD) + index % ring->capacity;
}

/* ns since base_ns, a moment of CLOCK_MONOTONIC, of a moment of the ring's clock. */
static uint64_t since(const struct vkm_ring *ring, const struct vkm_clock *clock, uint64_t ticks, uint64_t base_ns)
{
    uint64_t late = ticks > ring->start_ticks ? vkm_ticks_to_ns(clock, ticks - ring->start_ticks) : 0;
    uint64_t ns = ring->start_ns + late;
    return ns > base_ns ? ns - base_ns : 0;
}

int vkm_ring_is_sound(const struct vkm_ring *ring, uint64_t bytes)
{
    if (bytes < VKM_RING_HEAD || __atomic_load_n(&ring->magic, __ATOMIC_ACQUIRE) != VKM_RING_MAGIC)
        return 0;
    return ring->capacity && (bytes - VKM_RING_HEAD) / sizeof(struct vkm_event) >= ring->capacity;
}

uint64_t vkm_ring_take(struct vkm_ring *ring, struct vkm_event *events, uint64_t most, uint64_t base_ns, int ended)
{
    const struct vkm_clock clock = {ring->clock_kind, ring->clock_mult};
    uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE), tail = ring->tail, taken = 0;
    for (; tail < head && taken < most; tail++) {
        const struct vkm_event *event = event_at(ring, tail);
        uint32_t lap = (uint32_t)(tail / ring->capacity + 1) * 2;
        uint32_t state = __atomic_load_n(&event->state, __ATOMIC_ACQUIRE);
        int returned = state == lap + 1;
        if (!returned && !ended)
            break;
        if (!returned && state != lap)
            continue; /* claimed, and never written */
        struct vkm_event *to = &events[taken++];
        *to = *event;
        to->state = (uint32_t)returned;
        to->begin = since(ring, &clock, event->begin, base_ns);
        to->ticks = returned ? vkm_ticks_to_ns(&clock, event->ticks) : 0;
    }
    __atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
    return taken;
}

static int gives(unsigned call)
{
    return call == VKM_CALLED_FREE || call == VKM_CALLED_UNMAP || call == VKM_CALLED_UNMAP2 ||
           call == VKM_CALLED_UNMAP2_KHR || call == VKM_CALLED_DESTROY_DEVICE;
}

uint64_t vkm_ring_under_way(const struct vkm_ring *ring, struct vkm_event *events, uint64_t base_ns)
{
    const struct vkm_clock clock = {ring->clock_kind, ring->clock_mult};
    uint64_t found = 0;
    for (int i = 0; i < VKM_UNDER_WAY; i++) {
        const struct vkm_under_way *one = &ring->under_way[i];
        if (one->call && one->call <= VKM_CALLED && !gives(one->call - 1u))
            events[found++] = (struct vkm_event){
                .call = (uint8_t)(one->call - 1),
                .device = one->device,
                .thread = one->thread,
                .begin = since(ring, &clock, one->begin, base_ns),
                .object = one->object,
            };
    }
    return found;
}

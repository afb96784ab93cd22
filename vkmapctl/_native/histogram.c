#include "loop.h"

#define EXACT_BITS 7 /* below 2^7 ns one bin a ns; above, 2^6 bins an octave */

uint32_t vkm_bin(uint64_t ns)
{
    if (ns < (1u << EXACT_BITS))
        return (uint32_t)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - (EXACT_BITS - 1);
    uint64_t bin = ((uint64_t)shift << (EXACT_BITS - 1)) + (ns >> shift);
    return bin < VKM_BINS ? (uint32_t)bin : VKM_BINS;
}

void vkm_record(struct vkm_histogram *histogram, uint64_t ns)
{
    uint32_t bin = vkm_bin(ns);
    if (bin < VKM_BINS)
        histogram->bins[bin]++;
    else
        histogram->overflow++;
    if (!histogram->count++ || ns < histogram->min_ns)
        histogram->min_ns = ns;
    if (ns > histogram->max_ns)
        histogram->max_ns = ns;
    histogram->sum_ns += ns;
}

void vkm_merge(struct vkm_histogram *into, const struct vkm_histogram *from)
{
    if (from->count && (!into->count || from->min_ns < into->min_ns))
        into->min_ns = from->min_ns;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    into->overflow += from->overflow;
    for (uint32_t i = 0; i < VKM_BINS; i++)
        into->bins[i] += from->bins[i];
}

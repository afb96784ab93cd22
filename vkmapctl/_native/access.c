#include "access.h"

#include <string.h>

/* Half of the smallest first cache of today's CPUs, so that the process's own side of a copy costs next to nothing;
 * large enough for memcpy to take its way of large copies, and never its way of copies beyond the last cache. */
#define COPIED_BYTES 16384

#define RANDOM_FACTOR \
    0xd1342543de82ef95u /* Steele and Vigna, Computationally easy, spectrally good multipliers, 2021 */
#define RANDOM_STEP 0x9e3779b97f4a7c15u
enum { LANES = 4 }; /* generators side by side: one alone takes the four cycles that its product needs */

struct places {
    uint64_t lane[LANES];
};

static struct places places_from(uint64_t key)
{
    struct places places;
    for (int i = 0; i < LANES; i++)
        places.lane[i] = (key + (uint64_t)i + 1) * RANDOM_FACTOR;
    return places;
}

/* A number below count. */
static inline __attribute__((always_inline)) uint64_t next_place(uint64_t *lane, uint64_t count)
{
    *lane = *lane * RANDOM_FACTOR + RANDOM_STEP;
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)*lane * count >> 64);
#else
    const uint32_t places = (uint32_t)count; /* of a range in 32 bits of addresses */
    return (*lane >> 32) * places >> 32;
#endif
}

/* The bytes of a range and its accesses: `body` is aligned, and `count` accesses long. */
struct range {
    unsigned char *body;
    uint64_t count, key;
    uint32_t access;
    unsigned char value;
};

/* A function that makes the range's accesses, each by ACCESS(address). BEFORE and AFTER stand around them. */
#define WALK(NAME, TARGET, BYTES, ACCESS, BEFORE, AFTER) \
    TARGET static void NAME(const struct range *range) \
    { \
        unsigned char *at = range->body; \
        uint64_t left = range->count; \
        BEFORE; \
        if (range->access == VKM_RANDOM) { \
            struct places places = places_from(range->key); \
            const uint64_t count = left; \
            left = left < VKM_RANDOM_ACCESSES ? left : VKM_RANDOM_ACCESSES; \
            for (; left >= LANES; left -= LANES) \
                for (int i = 0; i < LANES; i++) \
                    ACCESS(at + (BYTES) * next_place(&places.lane[i], count)); \
            for (; left; left--) \
                ACCESS(at + (BYTES) * next_place(&places.lane[0], count)); \
        } else if (range->access == VKM_STRIDED) { \
            for (; left >= 4; left -= 4, at += 4 * VKM_STRIDE) { \
                ACCESS(at); \
                ACCESS(at + VKM_STRIDE); \
                ACCESS(at + 2 * VKM_STRIDE); \
                ACCESS(at + 3 * VKM_STRIDE); \
            } \
            for (; left; left--, at += VKM_STRIDE) \
                ACCESS(at); \
        } else { \
            for (; left >= 8; left -= 8, at += 8 * (BYTES)) { \
                ACCESS(at); \
                ACCESS(at + (BYTES)); \
                ACCESS(at + 2 * (BYTES)); \
                ACCESS(at + 3 * (BYTES)); \
                ACCESS(at + 4 * (BYTES)); \
                ACCESS(at + 5 * (BYTES)); \
                ACCESS(at + 6 * (BYTES)); \
                ACCESS(at + 7 * (BYTES)); \
            } \
            for (; left; left--, at += (BYTES)) \
                ACCESS(at); \
        } \
        AFTER; \
    }

#define ALL_BYTES 0x0101010101010101u
#define NOTHING (void)0

/* A volatile access of a whole number is one access of its width: the compiler may neither drop, join nor split it. */
#define LOAD1(at) (void)*(const volatile uint8_t *)(at)
#define LOAD2(at) (void)*(const volatile uint16_t *)(at)
#define LOAD4(at) (void)*(const volatile uint32_t *)(at)
#define STORE1(at) *(volatile uint8_t *)(at) = (uint8_t)value
#define STORE2(at) *(volatile uint16_t *)(at) = (uint16_t)value
#define STORE4(at) *(volatile uint32_t *)(at) = (uint32_t)value
#define VALUE const uint64_t value = range->value * ALL_BYTES

#if defined(__SSE2__)
#include <immintrin.h>

#define LOADED(type, instruction, at) \
    do { \
        type loaded; \
        __asm__ volatile(instruction " %1, %0" : "=v"(loaded) : "m"(*(const type *)(at))); \
    } while (0)
#define STORED(type, instruction, at) __asm__ volatile(instruction " %1, %0" : "=m"(*(type *)(at)) : "v"(value))
#endif

#if defined(__i386__) /* whose registers for whole numbers have 4 bytes */
#define LOAD8(at) LOADED(double, "movq", at)
#define STORE8(at) STORED(uint64_t, "movq", at)
#define VALUE8 const __m128i value = _mm_set1_epi8((char)range->value)
#else
#define LOAD8(at) (void)*(const volatile uint64_t *)(at)
#define STORE8(at) *(volatile uint64_t *)(at) = value
#define VALUE8 VALUE
#endif

WALK(load1, , 1, LOAD1, NOTHING, NOTHING)
WALK(load2, , 2, LOAD2, NOTHING, NOTHING)
WALK(load4, , 4, LOAD4, NOTHING, NOTHING)
WALK(load8, , 8, LOAD8, NOTHING, NOTHING)
WALK(store1, , 1, STORE1, VALUE, NOTHING)
WALK(store2, , 2, STORE2, VALUE, NOTHING)
WALK(store4, , 4, STORE4, VALUE, NOTHING)
WALK(store8, , 8, STORE8, VALUE8, NOTHING)

/* Bytes of any place, up to the width of a vector: what stands before and after the aligned ones. */
static void load_bytes(unsigned char *at, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        LOAD1(at + i);
}

static void store_bytes(unsigned char *at, uint64_t size, unsigned char value)
{
    for (uint64_t i = 0; i < size; i++)
        STORE1(at + i);
}

typedef uint64_t vector16 __attribute__((vector_size(16)));

#if defined(__SSE2__)

#define AVX __attribute__((target("avx")))
#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f")))
#define SSE41 __attribute__((target("sse4.1")))

#define LOAD16(at) LOADED(__m128i, "movdqa", at)
#define LOAD32(at) LOADED(__m256i, "vmovdqa", at)
#define LOAD64(at) LOADED(__m512i, "vmovdqa64", at)
#define STREAM_LOAD16(at) LOADED(__m128i, "movntdqa", at)
#define STREAM_LOAD32(at) LOADED(__m256i, "vmovntdqa", at)
#define STREAM_LOAD64(at) LOADED(__m512i, "vmovntdqa", at)
#define STORE16(at) STORED(__m128i, "movdqa", at)
#define STORE32(at) STORED(__m256i, "vmovdqa", at)
#define STORE64(at) STORED(__m512i, "vmovdqa64", at)
#define STREAM_STORE16(at) STORED(__m128i, "movntdq", at)
#define STREAM_STORE32(at) STORED(__m256i, "vmovntdq", at)
#define STREAM_STORE64(at) STORED(__m512i, "vmovntdq", at)
#define VALUE16 const __m128i value = _mm_set1_epi8((char)range->value)
#define VALUE32 const __m256i value = _mm256_set1_epi8((char)range->value)
#define VALUE64 const __m512i value = _mm512_set1_epi64((long long)(range->value * ALL_BYTES))

WALK(load16, , 16, LOAD16, NOTHING, NOTHING)
WALK(load32, AVX, 32, LOAD32, NOTHING, NOTHING)
WALK(load64, AVX512, 64, LOAD64, NOTHING, NOTHING)
WALK(store16, , 16, STORE16, VALUE16, NOTHING)
WALK(store32, AVX, 32, STORE32, VALUE32, NOTHING)
WALK(store64, AVX512, 64, STORE64, VALUE64, NOTHING)
/* The fence: a non-temporal load of memory that is write-combined may otherwise take bytes of before an earlier call.
 */
WALK(stream_load16, SSE41, 16, STREAM_LOAD16, _mm_mfence(), NOTHING)
WALK(stream_load32, AVX2, 32, STREAM_LOAD32, _mm_mfence(), NOTHING)
WALK(stream_load64, AVX512, 64, STREAM_LOAD64, _mm_mfence(), NOTHING)
WALK(stream_store16, , 16, STREAM_STORE16, VALUE16, _mm_sfence())
WALK(stream_store32, AVX, 32, STREAM_STORE32, VALUE32, _mm_sfence())
WALK(stream_store64, AVX512, 64, STREAM_STORE64, VALUE64, _mm_sfence())

static int has_sse41(void)
{
    return __builtin_cpu_supports("sse4.1");
}

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f");
}

#elif defined(__aarch64__)

#define LOAD16(at) __asm__ volatile("ldr q31, %0" : : "m"(*(const vector16 *)(at)) : "v31")
#define STORE16(at) __asm__ volatile("str %q1, %0" : "=m"(*(vector16 *)(at)) : "w"(value))
#define STREAM_LOAD32(at) __asm__ volatile("ldnp q30, q31, [%0]" : : "r"(at) : "v30", "v31", "memory")
#define STREAM_STORE32(at) __asm__ volatile("stnp %q1, %q1, [%0]" : : "r"(at), "w"(value) : "memory")
#define VALUE16 const vector16 value = {range->value * ALL_BYTES, range->value * ALL_BYTES}

WALK(load16, , 16, LOAD16, NOTHING, NOTHING)
WALK(store16, , 16, STORE16, VALUE16, NOTHING)
WALK(stream_load32, , 32, STREAM_LOAD32, NOTHING, NOTHING)
WALK(stream_store32, , 32, STREAM_STORE32, VALUE16, NOTHING)

#endif

typedef void walk_fn(const struct range *range);

/* The ways of one width, the best first. has: whether this CPU can, NULL for every one of its architecture. */
static const struct way {
    uint32_t width, bytes;
    walk_fn *load, *store;
    int (*has)(void);
} ways[] = {
    {1, 1, load1, store1, NULL},
    {2, 2, load2, store2, NULL},
    {4, 4, load4, store4, NULL},
    {8, 8, load8, store8, NULL},
#if defined(__SSE2__)
    {16, 16, load16, store16, NULL},
    {32, 32, load32, store32, has_avx2},
    {64, 64, load64, store64, has_avx512},
    {VKM_STREAM, 64, stream_load64, stream_store64, has_avx512},
    {VKM_STREAM, 32, stream_load32, stream_store32, has_avx2},
    {VKM_STREAM, 16, stream_load16, stream_store16, has_sse41},
#elif defined(__aarch64__)
    {16, 16, load16, store16, NULL}, {VKM_STREAM, 32, stream_load32, stream_store32, NULL},
#endif
};

static const struct way *way_of(uint32_t width)
{
    for (uint32_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (ways[i].width == width && (!ways[i].has || ways[i].has()))
            return &ways[i];
    return NULL;
}

uint32_t vkm_access_bytes(uint32_t width)
{
    const struct way *way = way_of(width);
    return width == VKM_MEMCPY ? COPIED_BYTES : way ? way->bytes : 0;
}

/* The buffer is each thread's own. */
static uint64_t copy(unsigned char *bytes, uint64_t size, int store, unsigned char value)
{
    static _Thread_local unsigned char buffer[COPIED_BYTES] __attribute__((aligned(64)));
    static _Thread_local int filled = -1; /* with this value */
    if (store && filled != value)
        memset(buffer, value, sizeof buffer);
    filled = store ? value : -1;
    for (uint64_t at = 0, length; at < size; at += length) {
        length = size - at < sizeof buffer ? size - at : sizeof buffer;
        memcpy(store ? bytes + at : buffer, store ? buffer : bytes + at, length);
        __asm__ volatile("" : : "r"(bytes), "r"(buffer) : "memory"); /* what was copied is used */
    }
    return size;
}

static uint64_t touch(unsigned char *bytes, uint64_t size, uint32_t width, uint32_t access, uint64_t key, int store,
                      unsigned char value)
{
    if (width == VKM_MEMCPY)
        return copy(bytes, size, store, value);
    const struct way *way = way_of(width);
    if (!way)
        return 0;
    uint64_t head = -(uint64_t)(uintptr_t)bytes & (way->bytes - 1);
    head = head < size ? head : size;
    struct range range = {bytes + head, (size - head) / way->bytes, key, access, value};
    uint64_t tail = size - head - range.count * way->bytes, accesses = range.count;
    if (access == VKM_STRIDED) {
        accesses = range.count = (range.count * way->bytes + VKM_STRIDE - way->bytes) / VKM_STRIDE;
    } else if (access == VKM_RANDOM) {
        accesses = accesses < VKM_RANDOM_ACCESSES ? accesses : VKM_RANDOM_ACCESSES;
    } else if (store) {
        store_bytes(bytes, head, value);
        store_bytes(bytes + size - tail, tail, value);
    } else {
        load_bytes(bytes, head);
        load_bytes(bytes + size - tail, tail);
    }
    (store ? way->store : way->load)(&range);
    return accesses * way->bytes + (access == VKM_SEQUENTIAL ? head + tail : 0);
}

uint64_t vkm_access_load(unsigned char *bytes, uint64_t size, uint32_t width, uint32_t access, uint64_t key)
{
    return touch(bytes, size, width, access, key, 0, 0);
}

uint64_t vkm_access_store(unsigned char *bytes, uint64_t size, uint32_t width, uint32_t access, uint64_t key,
                          unsigned char value)
{
    return touch(bytes, size, width, access, key, 1, value);
}

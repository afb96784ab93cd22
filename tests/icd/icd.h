/* What the parts of the test driver share: the few Vulkan types that it needs, so that it builds without Vulkan
 * headers, the settings' notation, and a call in progress. */
#ifndef VKMAPCTL_ICD_H
#define VKMAPCTL_ICD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int32_t VkResult;

/* Any struct of a pNext chain. */
typedef struct VkBaseOutStructure {
    int32_t sType;
    struct VkBaseOutStructure *pNext;
} VkBaseOutStructure;

typedef struct VkExtensionProperties {
    char extensionName[256];
    uint32_t specVersion;
} VkExtensionProperties;

typedef void (*PFN_vkVoidFunction)(void);
/* vkGetInstanceProcAddr, vkGetDeviceProcAddr and their vk_icd… kin; the handle is an instance or a device. */
typedef PFN_vkVoidFunction (*PFN_vkGetProcAddr)(void *handle, const char *name);
/* Any command of up to six integers and pointers: on 64-bit systems each travels in a register of its own. */
typedef uint64_t (*command)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

/* A call in progress of a command, or a moment that is none. */
struct call {
    command real;                       /* the driver's */
    void (*patch)(const struct call *); /* changes what the driver answered; may be NULL */
    uint64_t argument[6];
    uint64_t result;
    bool done;    /* the driver was called, or is not to be */
    bool stopped; /* no action follows */
};

struct step {
    void (*act)(const struct step *, struct call *); /* NULL behind the last */
    uint64_t number[2];
    char *text;
    size_t length;
};

/* What is to be done in a command or at a moment. */
struct plan {
    const char *key;
    unsigned long only; /* the call that it strikes, 0 for each */
    atomic_ulong calls;
    const char *other; /* the command that a lookup is to find in its place, or NULL */
    bool wrong;        /* a lookup is to give a pointer to what is no code */
    struct step steps[16 + 1];
};

/* settings.c */

/* Says what is wrong with a setting and aborts: a test must not pass because its break was misspelt. */
_Noreturn void refuse_setting(const char *setting, const char *reason);
/* A whole number: decimal or 0x…, with a sign or without. */
uint64_t parse_number(const char *text);
/* Turns each \xNN into that byte, in place; the new length. */
size_t unescape(char *text);

/* breaks.c */

/* Takes the actions for a command or a moment; false if the key names none. */
bool take_break(char *key, char *value);
/* The plan for a command or a moment, or NULL. */
struct plan *find_plan(const char *name);
/* Does what is planned, if anything, and calls the driver unless told otherwise. */
void perform(struct plan *plan, struct call *call);

/* facts.c */

/* Takes a fact's new value; false if the key names none. */
bool take_fact(char *key, char *value);
/* What changes a command's answers, or NULL. */
void (*find_patch(const char *name))(const struct call *);

#endif

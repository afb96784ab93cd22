/* How a layer meets the loader: its place in the chain of calls, and the functions that it puts itself before. */
#ifndef VKMAPCTL_LAYER_ENTRY_H
#define VKMAPCTL_LAYER_ENTRY_H

#include "vk_layer.h"

#include <string.h>

/* Takes the layer's own link off the chain that the loader passes down, and returns it. */
static inline const VkLayerLink *next_link(const void *create_info, VkStructureType type)
{
    VkBaseOutStructure *chain = ((const VkBaseOutStructure *)create_info)->pNext;
    for (; chain; chain = chain->pNext) {
        VkLayerCreateInfo *layer_info = (VkLayerCreateInfo *)chain;
        if (chain->sType == type && layer_info->function == VK_LAYER_LINK_INFO) {
            const VkLayerLink *link = layer_info->pLayerInfo;
            layer_info->pLayerInfo = link->pNext;
            return link;
        }
    }
    return NULL;
}

/* Of a list that ends with a name that is NULL. */
struct hook {
    const char *name;
    PFN_vkVoidFunction function;
};

static inline PFN_vkVoidFunction find_hook(const struct hook *hooks, const char *name)
{
    while (hooks->name && strcmp(hooks->name, name) != 0)
        hooks++;
    return hooks->function;
}

static inline VkResult negotiate(VkNegotiateLayerInterface *negotiation, PFN_vkGetInstanceProcAddr instance,
                                 PFN_vkGetDeviceProcAddr device)
{
    enum { INTERFACE_VERSION = 2 };
    if (negotiation->sType != LAYER_NEGOTIATE_INTERFACE_STRUCT ||
        negotiation->loaderLayerInterfaceVersion < INTERFACE_VERSION)
        return VK_ERROR_INITIALIZATION_FAILED;
    negotiation->loaderLayerInterfaceVersion = INTERFACE_VERSION;
    negotiation->pfnGetInstanceProcAddr = instance;
    negotiation->pfnGetDeviceProcAddr = device;
    negotiation->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}

LAYER_EXPORT VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiation);

#endif

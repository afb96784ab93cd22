"""One file a verb: its flags, and what it does with the result. No Vulkan is here, and nothing that is measured."""

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* make-golden mapped|file: prints a golden image as today's writer makes it. Deterministic. */
#include "tests/golden/golden-content.h"

#include <string.h>

int main(int argc, char **argv) {
    if (argc != 2 || (strcmp(argv[1], "mapped") != 0 && strcmp(argv[1], "file") != 0)) {
        g_printerr("usage: make-golden mapped|file\n");
        return 2;
    }
    g_autoptr(GBytes) image = golden_build(strcmp(argv[1], "mapped") == 0 ? MEDIUM_CLASS_MAPPED : MEDIUM_CLASS_FILE);
    g_autofree char *text = golden_to_text(image);
    g_print("%s", text);
    return 0;
}

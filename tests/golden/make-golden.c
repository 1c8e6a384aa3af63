/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* make-golden mapped|file [0]: prints a golden image of the current format (or of 1.0) as today's writer makes it.
 * Deterministic. */
#include "tests/golden/golden-content.h"

#include <string.h>

int main(int argc, char **argv) {
    bool first = argc == 3 && strcmp(argv[2], "0") == 0;

    if ((argc != 2 && !first) || (strcmp(argv[1], "mapped") != 0 && strcmp(argv[1], "file") != 0)) {
        g_printerr("usage: make-golden mapped|file [0]\n");
        return 2;
    }
    g_autoptr(GBytes) image =
        golden_build(first ? 0 : JF_MINOR, strcmp(argv[1], "mapped") == 0 ? MEDIUM_CLASS_MAPPED : MEDIUM_CLASS_FILE);
    g_autofree char *text = golden_to_text(image);
    g_print("%s", text);
    return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvncserver, loaded when the first screen is to be seen.  It brings a dozen libraries along:
 * half of what a program that shows none would take to start, and a megabyte of its memory.
 */
#include "backend/vnc_int.h"
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#define LIBRARY "libvncserver.so.1"

struct vnc_library rfb;

static const struct library_symbol {
    const char *name;
    size_t at;
} library_symbols[] = {
    { "rfbLogEnable", offsetof(struct vnc_library, log_enable) },
    { "rfbGetScreen", offsetof(struct vnc_library, get_screen) },
    { "rfbNewFramebuffer", offsetof(struct vnc_library, new_framebuffer) },
    { "rfbMarkRectAsModified", offsetof(struct vnc_library, mark_rect) },
    { "rfbNewClient", offsetof(struct vnc_library, new_client) },
    { "rfbProcessEvents", offsetof(struct vnc_library, process_events) },
    { "rfbShutdownServer", offsetof(struct vnc_library, shutdown_server) },
    { "rfbScreenCleanup", offsetof(struct vnc_library, screen_cleanup) },
    { "rfbCheckPasswordByList", offsetof(struct vnc_library, check_password) },
    { "rfbGetClientIterator", offsetof(struct vnc_library, clients) },
    { "rfbClientIteratorNext", offsetof(struct vnc_library, clients_next) },
    { "rfbReleaseClientIterator", offsetof(struct vnc_library, clients_end) },
    { "rfbSendServerCutText", offsetof(struct vnc_library, send_cut) },
    { "rfbSendServerCutTextUTF8", offsetof(struct vnc_library, send_cut_utf8) },
    { "rfbSetCursor", offsetof(struct vnc_library, set_cursor) },
    { "rfbFreeCursor", offsetof(struct vnc_library, free_cursor) },
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static char library_why[200];

/* It stays until the program ends. */
static void library_load(void)
{
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    for (size_t i = 0; lib && i < LEN(library_symbols); i++) {
        void *f = dlsym(lib, library_symbols[i].name);

        if (!f)
            lib = NULL;
        else
            memcpy((char *)&rfb + library_symbols[i].at, &f, sizeof(f));
    }
    if (!lib)
        snprintf(library_why, sizeof(library_why), "%s", dlerror());
}

int vnc_library(struct err *e)
{
    pthread_once(&library_once, library_load);
    return *library_why ? err_set(e, -ENOENT, "no VNC server: %s", library_why) : 0;
}

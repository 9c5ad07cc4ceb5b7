/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before all else in files that leave the host's vector registers alone: what they, or
 * the compiler for them, call of the C library's string functions are those of plain.c.  Here
 * and not by macros, as compilers make such calls of assignments too.
 */
#ifndef ENGINE_X86_PLAIN_H
#define ENGINE_X86_PLAIN_H
#include <stddef.h>

/* As the functions of the C library; they may be called by these names too. */
void *plain_memcpy(void *to, const void *from, size_t n);
void *plain_memmove(void *to, const void *from, size_t n);
void *plain_memset(void *to, int c, size_t n);
int plain_memcmp(const void *a, const void *b, size_t n);
void *plain_memchr(const void *p, int c, size_t n);

#define PLAIN_CALL(name, is) __asm__(".set " #name ", plain_" #is)
PLAIN_CALL(memcpy, memcpy);
PLAIN_CALL(memmove, memmove);
PLAIN_CALL(memset, memset);
PLAIN_CALL(memcmp, memcmp);
PLAIN_CALL(bcmp, memcmp);
PLAIN_CALL(memchr, memchr);
PLAIN_CALL(__asan_memcpy, memcpy); /* clang's address sanitizer's */
PLAIN_CALL(__asan_memmove, memmove);
PLAIN_CALL(__asan_memset, memset);
#undef PLAIN_CALL
#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_DECODE_INT_H
#define ENGINE_X86_DECODE_INT_H
#include "engine/x86/insn.h"
#include <Zydis/Zydis.h>

/* The second half of the decoder: decode_kind.c.  Operands and layout are there already. */
void decode_flags(struct x86_insn *in, const ZydisDecodedInstruction *z);
void decode_kinds(struct x86_insn *in, const ZydisDecodedInstruction *z);
#endif

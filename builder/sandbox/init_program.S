// The bytes of imgbuild-init, see init_program.hpp. IMGBUILD_INIT_PATH is where the build made it.
    .section .rodata
    .balign 16
    .global imgbuild_init_begin
    .global imgbuild_init_end
    .hidden imgbuild_init_begin
    .hidden imgbuild_init_end
imgbuild_init_begin:
    .incbin IMGBUILD_INIT_PATH
imgbuild_init_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits

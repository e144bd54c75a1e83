// The operations that build the step's root, one function each; operations.hpp says what they mean.
#pragma once

#include "builder/sandbox/init/state.hpp"
#include "builder/sandbox/operations.hpp"

namespace imgbuild::sandbox::init {

using wire::Viewed;

void carry_out(State& state, const op::MountOverlay<Viewed>& operation);
void carry_out(State& state, const op::HoldRoot<Viewed>& operation);
void carry_out(State& state, const op::MountScratch<Viewed>& operation);
void carry_out(State& state, const op::AttachRoot<Viewed>& operation);
void carry_out(State& state, const op::MountFileSystem<Viewed>& operation);
void carry_out(State& state, const op::MountBind<Viewed>& operation);
void carry_out(State& state, const op::CloneBind<Viewed>& operation);
void carry_out(State& state, const op::AttachBind<Viewed>& operation);
void carry_out(State& state, const op::MountText<Viewed>& operation);
void carry_out(State& state, const op::MaskPath<Viewed>& operation);
void carry_out(State& state, const op::ProtectPath<Viewed>& operation);
void carry_out(State& state, const op::MakeDirectory<Viewed>& operation);
void carry_out(State& state, const op::MakeFile<Viewed>& operation);
void carry_out(State& state, const op::MakeSymlink<Viewed>& operation);
void carry_out(State& state, const op::PivotRoot<Viewed>& operation);
void carry_out(State& state, const op::MountSecret<Viewed>& operation);
void carry_out(State& state, const op::HoldTree<Viewed>& operation);
void carry_out(State& state, const op::AttachTree<Viewed>& operation);
void carry_out(State& state, const op::MakeMountPoint<Viewed>& operation);
void carry_out(State& state, const op::SetMountFlags<Viewed>& operation);

}  // namespace imgbuild::sandbox::init

#include "cli/debug_shapes.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild::cli {
namespace {

using nlohmann::json;
using namespace parser;

std::vector<std::string> texts(const std::vector<Word>& words) {
    std::vector<std::string> result;
    for (const Word& word : words) {
        result.push_back(word.text);
    }
    return result;
}

std::string text_or_empty(const std::optional<Word>& word) {
    return word ? word->text : std::string();
}

json command_fields(const CommandLine& command) {
    return {{"CmdLine", command.words}, {"PrependShell", command.form == CommandLine::Form::shell}};
}

json pair_list(const std::vector<KeyValue>& pairs) {
    json result = json::array();
    for (const KeyValue& pair : pairs) {
        result.push_back({{"Key", pair.key.text}, {"Value", pair.value.text}, {"NoDelim", pair.legacy}});
    }
    return result;
}

json file_fields(const FileSet& files) {
    json contents = json::array();
    for (const HeredocFile& heredoc : files.heredocs) {
        contents.push_back({{"Path", heredoc.name}, {"Data", heredoc.text}, {"Expand", heredoc.expand}});
    }
    return {{"SourcePaths", texts(files.sources)},
            {"SourceContents", std::move(contents)},
            {"DestPath", files.destination.text},
            {"Chown", text_or_empty(files.chown)},
            {"Chmod", text_or_empty(files.chmod)},
            {"ExcludePatterns", texts(files.excludes)},
            {"Link", files.link}};
}

std::vector<std::string> health_test(const Healthcheck& check) {
    if (check.none) {
        return {"NONE"};
    }
    std::vector<std::string> test = check.command.words;
    test.insert(test.begin(), check.command.form == CommandLine::Form::exec ? "CMD" : "CMD-SHELL");
    return test;
}

/// The members of the data's "fields", by instruction.
struct Fields {
    json operator()(const Arg& arg) const {
        json items = json::array();
        for (const Arg::Item& item : arg.items) {
            json one{{"Key", item.name.text}, {"DocComment", item.description}};
            if (item.value) {
                one["Value"] = item.value->text;
            }
            items.push_back(std::move(one));
        }
        return {{"Args", std::move(items)}};
    }
    json operator()(const Env& env) const { return {{"Env", pair_list(env.pairs)}}; }
    json operator()(const Label& label) const { return {{"Labels", pair_list(label.pairs)}}; }
    json operator()(const Run& run) const {
        json fields = command_fields(run.command);
        fields["FlagsUsed"] = run.flags_used;
        for (const HeredocFile& heredoc : run.heredocs) {
            fields["Files"].push_back({{"Name", heredoc.name}, {"Data", heredoc.text}});
        }
        return fields;
    }
    json operator()(const Cmd& cmd) const { return command_fields(cmd.command); }
    json operator()(const Entrypoint& entrypoint) const { return command_fields(entrypoint.command); }
    json operator()(const Shell& shell) const { return {{"Shell", shell.words}}; }
    json operator()(const Copy& copy) const {
        json fields = file_fields(copy.files);
        fields["From"] = text_or_empty(copy.from);
        fields["Parents"] = copy.parents;
        return fields;
    }
    json operator()(const Add& add) const {
        json fields = file_fields(add.files);
        fields["KeepGitDir"] = add.keep_git_dir.value_or(false);
        fields["Checksum"] = text_or_empty(add.checksum);
        fields["Unpack"] = add.unpack.value_or(false);
        return fields;
    }
    json operator()(const Workdir& workdir) const { return {{"Path", workdir.path.text}}; }
    json operator()(const User& user) const { return {{"User", user.user.text}}; }
    json operator()(const Volume& volume) const { return {{"Volumes", texts(volume.paths)}}; }
    json operator()(const Expose& expose) const {
        std::vector<std::string> ports = texts(expose.ports);
        std::sort(ports.begin(), ports.end());
        return {{"Ports", std::move(ports)}};
    }
    json operator()(const StopSignal& stop) const { return {{"Signal", stop.signal.text}}; }
    json operator()(const Healthcheck& check) const {
        return {{"Health",
                 {{"Test", health_test(check)},
                  {"Interval", check.interval.count()},
                  {"Timeout", check.timeout.count()},
                  {"StartPeriod", check.start_period.count()},
                  {"StartInterval", check.start_interval.count()},
                  {"Retries", check.retries}}}};
    }
    json operator()(const Onbuild& onbuild) const { return {{"Expression", onbuild.text}}; }
    json operator()(const Maintainer& maintainer) const { return {{"Maintainer", maintainer.author.text}}; }
};

/// The data records a mount before its values are known: then the peer has looked at "from" alone.
json mount_list(const Run& run) {
    json result = json::array();
    for (const MountFlag& mount : run.mounts) {
        std::string from;
        for (const MountOption& option : mount.options) {
            if (option.key == "from") {
                from = option.value.value_or(std::string());
            }
        }
        result.push_back({{"Type", "bind"}, {"ReadOnly", true}, {"From", std::move(from)}});
    }
    return result;
}

json instruction_shape(const Instruction& instruction) {
    json result{{"name", instruction.keyword},
                {"code", instruction.original},
                {"location", lines_shape(instruction.span)},
                {"fields", std::visit(Fields{}, instruction.body)}};
    if (const Run* run = std::get_if<Run>(&instruction.body)) {
        result["mounts"] = mount_list(*run);
    }
    return result;
}

json instruction_list(const std::vector<Instruction>& instructions) {
    json result = json::array();
    for (const Instruction& instruction : instructions) {
        result.push_back(instruction_shape(instruction));
    }
    return result;
}

}  // namespace

json file_shape(const BuildFile& file) {
    json stages = json::array();
    for (const Stage& stage : file.stages) {
        stages.push_back({{"name", stage.name},
                          {"base", stage.from.image.text},
                          {"platform", text_or_empty(stage.from.platform)},
                          {"code", stage.keyword},
                          {"doc", stage.description},
                          {"location", lines_shape(stage.span)},
                          {"commands", instruction_list(stage.instructions)}});
    }
    return {{"meta_args", instruction_list(file.global_args)}, {"stages", std::move(stages)}};
}

}  // namespace imgbuild::cli

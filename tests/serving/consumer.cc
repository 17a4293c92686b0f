// Loads a SavedModel as TensorFlow Serving does and asks its signatures.
//
// consumer VERSION_FOLDER OUT_FOLDER OP_LIBRARY...
//
// Writes png.png (signature png) and seeded.png (signature seeded, seed 7).

#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session.h"

namespace tf = tensorflow;

namespace {

constexpr char kCaption[] = "a red bird with black wings";

void Check(bool fine, const std::string& what) {
  if (!fine) {
    std::cerr << what << std::endl;
    std::exit(1);
  }
}

void Check(const absl::Status& status) { Check(status.ok(), status.ToString()); }

std::map<std::string, tf::Tensor> Ask(
    const tf::SavedModelBundle& bundle, const std::string& signature,
    const std::map<std::string, tf::Tensor>& inputs) {
  const auto found = bundle.GetSignatures().find(signature);
  Check(found != bundle.GetSignatures().end(), "no signature " + signature);
  const tf::SignatureDef& def = found->second;
  std::vector<std::pair<std::string, tf::Tensor>> feeds;
  for (const auto& [name, tensor] : inputs) {
    feeds.emplace_back(def.inputs().at(name).name(), tensor);
  }
  std::vector<std::string> names, fetches;
  for (const auto& [name, info] : def.outputs()) {
    names.push_back(name);
    fetches.push_back(info.name());
  }
  std::vector<tf::Tensor> outputs;
  Check(bundle.GetSession()->Run(feeds, fetches, {}, &outputs));
  std::map<std::string, tf::Tensor> answer;
  for (size_t i = 0; i < names.size(); ++i) answer.emplace(names[i], outputs[i]);
  return answer;
}

tf::Tensor Captions(int count) {
  tf::Tensor captions(tf::DT_STRING, tf::TensorShape({count}));
  for (int i = 0; i < count; ++i) captions.vec<tf::tstring>()(i) = kCaption;
  return captions;
}

std::string EncodePng(const tf::Tensor& image) {
  tf::GraphDef graph;
  tf::NodeDef* placeholder = graph.add_node();
  placeholder->set_name("image");
  placeholder->set_op("Placeholder");
  (*placeholder->mutable_attr())["dtype"].set_type(tf::DT_UINT8);
  tf::NodeDef* encode = graph.add_node();
  encode->set_name("png");
  encode->set_op("EncodePng");
  encode->add_input("image");
  (*encode->mutable_attr())["T"].set_type(tf::DT_UINT8);
  std::unique_ptr<tf::Session> session(tf::NewSession(tf::SessionOptions()));
  Check(session->Create(graph));
  std::vector<tf::Tensor> outputs;
  Check(session->Run({{"image", image}}, {"png"}, {}, &outputs));
  return std::string(outputs[0].scalar<tf::tstring>()());
}

void Write(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  Check(file.good(), "can't write " + path);
}

}  // namespace

int main(int argc, char** argv) {
  Check(argc >= 3, "consumer VERSION_FOLDER OUT_FOLDER OP_LIBRARY...");
  const std::string folder = argv[1], out = argv[2];
  for (int i = 3; i < argc; ++i) {
    Check(dlopen(argv[i], RTLD_NOW | RTLD_LOCAL) != nullptr,
          std::string("can't load ") + argv[i]);
  }
  tf::SavedModelBundle bundle;
  Check(tf::LoadSavedModel(tf::SessionOptions(), tf::RunOptions(), folder,
                           {"serve"}, &bundle));

  const tf::Tensor images =
      Ask(bundle, "serving_default", {{"caption", Captions(3)}}).at("image");
  Check(images.dtype() == tf::DT_UINT8 && images.dims() == 4 &&
            images.dim_size(0) == 3 && images.dim_size(3) == 3,
        "serving_default: " + images.DebugString());

  const tf::Tensor files =
      Ask(bundle, "png", {{"caption", Captions(1)}}).at("image_bytes");
  Write(out + "/png.png", std::string(files.vec<tf::tstring>()(0)));

  tf::Tensor seed(tf::DT_INT64, tf::TensorShape({1}));
  seed.vec<int64_t>()(0) = 7;
  const tf::Tensor seeded =
      Ask(bundle, "seeded", {{"caption", Captions(1)}, {"seed", seed}}).at("image");
  // One row less a dimension.
  Write(out + "/seeded.png", EncodePng(seeded.SubSlice(0)));

  std::vector<tf::Tensor> outputs;
  const tf::SignatureDef& def = bundle.GetSignatures().at("serving_default");
  const absl::Status wrong = bundle.GetSession()->Run(
      {{def.inputs().at("caption").name(), seed}},
      {def.outputs().at("image").name()}, {}, &outputs);
  Check(!wrong.ok(), "a wrong dtype was accepted");
  std::cout << "served" << std::endl;
  return 0;
}

"""Networks of SpikingJelly's examples and of its model zoo."""

import torch
from spikingjelly.activation_based import encoding, functional, layer, neuron, surrogate
from torch import nn

from tests.networks.listed import Catalogue, Form, T
from tests.networks.zoo import (
    ms_resnet,
    parametric_lif_net,
    sew_resnet,
    spiking_resnet,
    spiking_vgg,
)

network = Catalogue("SpikingJelly")
GRAY, COLOR = (1, 16, 16), (3, 16, 16)


@network("lif_fc_mnist", Form.STEP, (1, 8, 8))
def lif_fc_mnist() -> nn.Module:
    class SNN(nn.Module):
        def __init__(self, tau: float) -> None:
            super().__init__()
            self.layer = nn.Sequential(
                layer.Flatten(),
                layer.Linear(64, 10, bias=False),
                neuron.LIFNode(tau=tau, surrogate_function=surrogate.ATan()),
            )

        def forward(self, x):
            return self.layer(x)

    return SNN(2.0)


@network("lif_fc_mnist, with its loop and encoder", Form.STILL, (1, 8, 8))
def lif_fc_mnist_loop() -> nn.Module:
    class Evaluated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = lif_fc_mnist()
            self.encoder = encoding.PoissonEncoder()

        def forward(self, img):
            out_fr = 0.0
            for _ in range(T):
                encoded_img = self.encoder(img)
                out_fr += self.net(encoded_img)
            return out_fr / T

    return Evaluated()


@network("conv_fashion_mnist", Form.STILL, GRAY)
def conv_fashion_mnist() -> nn.Module:
    class CSNN(nn.Module):
        def __init__(self, T: int, channels: int) -> None:
            super().__init__()
            self.T = T
            self.conv_fc = nn.Sequential(
                layer.Conv2d(1, channels, kernel_size=3, padding=1, bias=False),
                layer.BatchNorm2d(channels),
                neuron.IFNode(surrogate_function=surrogate.ATan()),
                layer.MaxPool2d(2, 2),
                layer.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
                layer.BatchNorm2d(channels),
                neuron.IFNode(surrogate_function=surrogate.ATan()),
                layer.MaxPool2d(2, 2),
                layer.Flatten(),
                layer.Linear(channels * 4 * 4, channels * 4, bias=False),
                neuron.IFNode(surrogate_function=surrogate.ATan()),
                layer.Linear(channels * 4, 10, bias=False),
                neuron.IFNode(surrogate_function=surrogate.ATan()),
            )
            functional.set_step_mode(self, step_mode="m")

        def forward(self, x: torch.Tensor):
            x_seq = x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
            x_seq = self.conv_fc(x_seq)
            return x_seq.mean(0)

    return CSNN(T, 6)


def _plif_net(kind: type[nn.Module], channels: int, spiking: type[nn.Module]):
    net = kind(channels=channels, spiking_neuron=spiking, detach_reset=True)
    functional.set_step_mode(net, "m")
    return net


@network("MNISTNet", Form.TIME_FIRST, (1, 28, 28))
def mnist_net() -> nn.Module:
    return _plif_net(parametric_lif_net.MNISTNet, 4, neuron.LIFNode)


@network("NMNISTNet", Form.TIME_FIRST, (2, 34, 34), encoding="events")
def nmnist_net() -> nn.Module:
    return _plif_net(parametric_lif_net.NMNISTNet, 4, neuron.LIFNode)


@network("CIFAR10Net, parametric LIF", Form.TIME_FIRST, (3, 32, 32))
def cifar10_net() -> nn.Module:
    return _plif_net(parametric_lif_net.CIFAR10Net, 4, neuron.ParametricLIFNode)


@network("CIFAR10DVSNet", Form.TIME_FIRST, (2, 128, 128), encoding="events")
def cifar10_dvs_net() -> nn.Module:
    return _plif_net(parametric_lif_net.CIFAR10DVSNet, 2, neuron.LIFNode)


@network("DVSGestureNet", Form.TIME_FIRST, (2, 128, 128), encoding="events")
def dvs_gesture_net() -> nn.Module:
    return _plif_net(parametric_lif_net.DVSGestureNet, 2, neuron.LIFNode)


@network(
    "DVS-Gesture, the example's forward",
    Form.TIME_SECOND,
    (2, 32, 32),
    encoding="events",
)
def dvs_gesture_example() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            blocks: list[nn.Module] = []
            for i in range(3):
                blocks += [
                    layer.Conv2d(4 if i else 2, 4, 3, padding=1, bias=False),
                    layer.BatchNorm2d(4),
                    neuron.LIFNode(detach_reset=True),
                    layer.MaxPool2d(2, 2),
                ]
            self.conv_fc = nn.Sequential(
                *blocks,
                layer.Flatten(),
                layer.Dropout(0.5),
                layer.Linear(4 * 4 * 4, 32),
                neuron.LIFNode(detach_reset=True),
                layer.Dropout(0.5),
                layer.Linear(32, 110),
                neuron.LIFNode(detach_reset=True),
                layer.VotingLayer(10),
            )
            functional.set_step_mode(self, "m")

        def forward(self, frame):
            frame = frame.transpose(0, 1)  # [N, T, C, H, W] -> [T, N, C, H, W]
            return self.conv_fc(frame).mean(0)

    return Net()


@network("a loop of step mode s, divided by T", Form.STILL, GRAY)
def single_step_loop() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.T = T
            self.static_conv = nn.Sequential(
                layer.Conv2d(1, 4, 3, padding=1, bias=False), layer.BatchNorm2d(4)
            )
            self.conv = nn.Sequential(
                neuron.IFNode(),
                layer.MaxPool2d(2, 2),
                layer.Conv2d(4, 4, 3, padding=1, bias=False),
                layer.BatchNorm2d(4),
                neuron.IFNode(),
                layer.MaxPool2d(2, 2),
            )
            self.fc = nn.Sequential(
                layer.Flatten(), layer.Linear(64, 10, bias=False), neuron.IFNode()
            )

        def forward(self, x):
            x = self.static_conv(x)
            out_spikes_counter = self.fc(self.conv(x))
            for _ in range(1, self.T):
                out_spikes_counter += self.fc(self.conv(x))
            return out_spikes_counter / self.T

    return Net()


class _Sequential(nn.Module):
    """Rows of an image, one a timestep, as rsnn_sequential_fmnist gives them."""

    def __init__(self, fc: nn.Module) -> None:
        super().__init__()
        self.fc = fc
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.fc(x).mean(0)


@network("rsnn_sequential_fmnist, plain", Form.TIME_FIRST, (28,))
def sequential_plain() -> nn.Module:
    return _Sequential(
        nn.Sequential(
            layer.Linear(28, 32),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
            layer.Linear(32, 10),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
        )
    )


@network("rsnn_sequential_fmnist, a synapse with memory", Form.TIME_FIRST, (28,))
def sequential_synapse() -> nn.Module:
    return _Sequential(
        nn.Sequential(
            layer.Linear(28, 32),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
            layer.SynapseFilter(tau=2.0, learnable=True),
            layer.Linear(32, 10),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
        )
    )


@network("rsnn_sequential_fmnist, with feedback", Form.TIME_FIRST, (28,))
def sequential_feedback() -> nn.Module:
    return _Sequential(
        nn.Sequential(
            layer.Linear(28, 32),
            layer.LinearRecurrentContainer(
                neuron.IFNode(surrogate_function=surrogate.ATan(), detach_reset=True),
                in_features=32,
                out_features=32,
                bias=True,
            ),
            layer.Linear(32, 10),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
        )
    )


@network("seq_to_ann_forward around layers", Form.TIME_FIRST, GRAY)
def seq_to_ann() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(4)
            self.sn = neuron.LIFNode(step_mode="m")
            self.pool = layer.SeqToANNContainer(nn.AvgPool2d(2), nn.Flatten())
            self.fc = layer.SeqToANNContainer(nn.Linear(256, 10))
            self.out = neuron.LIFNode(step_mode="m")

        def forward(self, x_seq):
            x_seq = functional.seq_to_ann_forward(x_seq, [self.conv, self.bn])
            return self.out(self.fc(self.pool(self.sn(x_seq))))

    return Net()


@network("spiking_vgg11_bn of the zoo", Form.TIME_FIRST, (3, 32, 32), is_slow=True)
def vgg11() -> nn.Module:
    model = spiking_vgg.spiking_vgg11_bn(
        spiking_neuron=neuron.IFNode, surrogate_function=surrogate.ATan()
    )
    functional.set_step_mode(model, "m")
    return model


@network("spiking_resnet18 of the zoo", Form.TIME_FIRST, (3, 32, 32), is_slow=True)
def resnet18() -> nn.Module:
    model = spiking_resnet.spiking_resnet18(
        spiking_neuron=neuron.IFNode, surrogate_function=surrogate.ATan()
    )
    functional.set_step_mode(model, "m")
    return model


def _sew(cnf: str) -> nn.Module:
    model = sew_resnet.sew_resnet18(
        cnf=cnf, spiking_neuron=neuron.IFNode, surrogate_function=surrogate.ATan()
    )
    functional.set_step_mode(model, "m")
    return model


@network("sew_resnet18 of the zoo, ADD", Form.TIME_FIRST, (3, 32, 32))
def sew_add() -> nn.Module:
    return _sew("ADD")


@network("sew_resnet18 of the zoo, AND", Form.TIME_FIRST, (3, 32, 32), is_slow=True)
def sew_and() -> nn.Module:
    return _sew("AND")


@network("sew_resnet18 of the zoo, IAND", Form.TIME_FIRST, (3, 32, 32), is_slow=True)
def sew_iand() -> nn.Module:
    return _sew("IAND")


@network("ms_resnet18 of the zoo", Form.STILL, (3, 32, 32))
def ms_resnet18() -> nn.Module:
    return ms_resnet.ms_resnet18(T=T, num_classes=10)


@network(
    "7B-Net of SEW-ResNet for DVS-Gesture",
    Form.TIME_SECOND,
    (2, 32, 32),
    source="SEW-ResNet",
    encoding="events",
)
def sew_7b() -> nn.Module:
    def conv3x3(n_in: int, n_out: int) -> nn.Module:
        return nn.Sequential(
            layer.SeqToANNContainer(
                nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
            ),
            neuron.ParametricLIFNode(init_tau=2.0, detach_reset=True, step_mode="m"),
        )

    class SEWBlock(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.conv = nn.Sequential(conv3x3(n, n), conv3x3(n, n))

        def forward(self, x: torch.Tensor):
            out = self.conv(x)
            out += x
            return out

    class ResNetN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            stages: list[nn.Module] = [conv3x3(2, 4)]
            for _ in range(3):
                stages += [SEWBlock(4), layer.SeqToANNContainer(nn.MaxPool2d(2, 2))]
            self.conv = nn.Sequential(*stages, nn.Flatten(2))
            self.out = nn.Linear(64, 11)

        def forward(self, x: torch.Tensor):
            x = x.permute(1, 0, 2, 3, 4)  # [T, N, 2, *, *]
            x = self.conv(x)
            return self.out(x.mean(0))

    return ResNetN()


@network("Spikformer", Form.STILL, (3, 32, 32), source="Spikformer")
def spikformer() -> nn.Module:
    class Attention(nn.Module):
        """Spiking self-attention: a product of spikes with spikes."""

        def __init__(self, dim: int = 16) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
            self.q_lif, self.k_lif, self.v_lif, self.lif = (
                neuron.LIFNode(tau=2.0, step_mode="m") for _ in range(4)
            )

        def forward(self, x):
            q, k, v = (
                self.q_lif(self.q(x)),
                self.k_lif(self.k(x)),
                self.v_lif(self.v(x)),
            )
            return self.lif((q @ k.transpose(-2, -1)) @ v * 0.125)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = layer.Conv2d(3, 16, 8, stride=8, step_mode="m")
            self.lif = neuron.LIFNode(step_mode="m")
            self.attention = Attention()
            self.head = nn.Linear(16, 10)

        def forward(self, x):
            x = self.patch(x.unsqueeze(0).repeat(T, 1, 1, 1, 1))
            x = self.lif(x).flatten(3).transpose(-1, -2)
            x = x + self.attention(x)
            return self.head(x.mean(2)).mean(0)

    return Net()


@network("LIFNode with decay_input=False and soft reset", Form.TIME_FIRST, (64,))
def soft_reset() -> nn.Module:
    net = nn.Sequential(
        layer.Linear(64, 32),
        neuron.LIFNode(tau=2.0, decay_input=False, v_reset=None),
        layer.Linear(32, 10),
        neuron.LIFNode(tau=2.0, decay_input=False, v_reset=None),
    )
    functional.set_step_mode(net, "m")
    return net
